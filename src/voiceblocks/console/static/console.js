// Refreshes what is marked as live, draws waveforms, shows local times. All works without it.
"use strict";

const EVERY_MS = 2000;
const LATE_MS = 3000;

const two = (number) => String(number).padStart(2, "0");

// The same everywhere, in the reader's own time: no guessing which of two numbers is the month.
function localTime(moment) {
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())} `
    + `${two(moment.getHours())}:${two(moment.getMinutes())}:${two(moment.getSeconds())}`;
}

function showLocalTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.title = time.textContent;
    time.textContent = localTime(new Date(time.dateTime));
  }
}

const keyOf = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.dataset.key || node.id : "");
const isLike = (one, other) => one.nodeName === other.nodeName && keyOf(one) === keyOf(other);

// Makes `shown` say what `fresh` says. What is the same stays the same node, so focus, selection,
// scrolling and what plays are left alone; rows are told apart by their data-key.
function renew(shown, fresh) {
  if (shown.isEqualNode(fresh)) return;
  if (shown.nodeType !== Node.ELEMENT_NODE) { shown.data = fresh.data; return; }
  for (const { name } of [...shown.attributes]) {
    if (name !== "open" && !fresh.hasAttribute(name)) shown.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  }
  const wanted = new Set([...fresh.childNodes].map(keyOf));
  const kept = new Map([...shown.childNodes].filter(keyOf).map((node) => [keyOf(node), node]));
  let at = shown.firstChild;
  for (const next of [...fresh.childNodes]) {
    while (at && keyOf(at) && !wanted.has(keyOf(at))) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
    const same = keyOf(next) ? kept.get(keyOf(next)) : at && isLike(at, next) ? at : null;
    if (!same || !isLike(same, next)) { shown.insertBefore(next, at); continue; }
    if (same === at) at = at.nextSibling; else shown.insertBefore(same, at);
    renew(same, next);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

let seen = new Date();

function sayAway(isAway) {
  const away = document.getElementById("away");
  const text = isAway
    ? `The server does not answer. What you see is of ${localTime(seen)}; it goes on by itself `
      + "once the server is back."
    : "";
  if (away.textContent !== text) away.textContent = text;
}

async function refresh() {
  const parts = document.querySelectorAll("[data-live]");
  if (parts.length && !document.hidden) {
    try {
      const answer = await fetch(location.href, { credentials: "same-origin" });
      if (answer.redirected) { location.reload(); return; }
      if (!answer.ok) throw new Error(answer.statusText);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of parts) {
        const next = fresh.getElementById(part.id);
        if (!next) continue;
        showLocalTimes(next);
        renew(part, next);
      }
      seen = new Date();
      sayAway(false);
    } catch {
      sayAway(new Date() - seen > LATE_MS);
    }
  } else {
    seen = new Date();
  }
  setTimeout(refresh, EVERY_MS);
}

function offerCopies() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    const field = document.getElementById(button.dataset.copy);
    button.hidden = false;
    button.addEventListener("click", async () => {
      field.select();
      // Where the page is neither https nor localhost, browsers know only the old way.
      if (navigator.clipboard) await navigator.clipboard.writeText(field.value);
      else document.execCommand("copy");
      button.textContent = "Copied";
    });
  }
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
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    audio.currentTime = audio.duration * (event.clientX - box.left) / box.width;
    paint();
  });
  paint();
  canvas.dataset.drawn = "yes";
}

function showWaveform(player) {
  drawWaveform(player).catch(() => { player.querySelector("canvas").hidden = true; });
}

showLocalTimes(document);
document.getElementById("zone").textContent =
  `Times are of your own zone, ${Intl.DateTimeFormat().resolvedOptions().timeZone}.`;
offerCopies();
for (const player of document.querySelectorAll("[data-waveform]")) showWaveform(player);
setTimeout(refresh, EVERY_MS);
