// Refreshes what is marked as live, draws waveforms, shows local times. All works without it.
"use strict";

const EVERY_MS = 2000;

function showLocalTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    time.title = time.textContent;
    time.textContent = moment.toLocaleString();
  }
}

async function refresh() {
  const parts = document.querySelectorAll("[data-live]");
  if (parts.length && !document.hidden) {
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      if (answer.redirected) { location.reload(); return; }
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of parts) {
        const next = fresh.getElementById(part.id);
        if (!next) continue;
        showLocalTimes(next);
        // What somebody has the focus in, or has selected, stays under their hands.
        if (part.innerHTML !== next.innerHTML && !part.contains(document.activeElement)) {
          part.innerHTML = next.innerHTML;
        }
      }
    } catch { /* the server is away: the next look may find it */ }
  }
  setTimeout(refresh, EVERY_MS);
}

async function drawWaveform(player) {
  const canvas = player.querySelector("canvas");
  const audio = player.querySelector("audio");
  const answer = await fetch(player.dataset.waveform, { credentials: "same-origin" });
  const context = new OfflineAudioContext(1, 1, 8000);
  const sound = await context.decodeAudioData(await answer.arrayBuffer());
  const width = canvas.width = canvas.clientWidth * devicePixelRatio;
  const height = canvas.height = 96 * devicePixelRatio;
  const rows = [];
  for (let side = 0; side < sound.numberOfChannels; side++) {
    const samples = sound.getChannelData(side);
    const step = Math.max(1, Math.floor(samples.length / width));
    const peaks = new Float32Array(width);
    for (let x = 0; x < width; x++) {
      let most = 0;
      for (let i = x * step; i < (x + 1) * step; i++) most = Math.max(most, Math.abs(samples[i] || 0));
      peaks[x] = most;
    }
    rows.push(peaks);
  }
  const draw = canvas.getContext("2d");
  const paint = () => {
    draw.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    const played = width * (audio.currentTime / (audio.duration || 1));
    const tall = height / rows.length;
    rows.forEach((peaks, row) => {
      const middle = tall * (row + 0.5);
      for (let x = 0; x < width; x++) {
        draw.fillStyle = style.color;
        draw.globalAlpha = x <= played ? 1 : 0.45;
        const half = Math.max(0.5, peaks[x] * tall * 0.48);
        draw.fillRect(x, middle - half, 1, 2 * half);
      }
    });
  };
  audio.addEventListener("timeupdate", paint);
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    audio.currentTime = audio.duration * (event.clientX - box.left) / box.width;
    paint();
  });
  paint();
  canvas.dataset.drawn = "yes";
}

showLocalTimes(document);
for (const player of document.querySelectorAll("[data-waveform]")) drawWaveform(player);
setTimeout(refresh, EVERY_MS);
