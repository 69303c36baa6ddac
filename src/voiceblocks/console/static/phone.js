// The phone: a WebSocket for the call, phone_audio.js for its sound, and the page around both.
"use strict";

const MOST_WAITING_BYTES = 16000;
const find = (id) => document.getElementById(id);
const phone = find("phone");
let call = null;

function problem(sentence) {
  find("phone-problem").textContent = sentence;
  find("phone-problem").hidden = !sentence;
}

function show(sentence) { find("state").textContent = sentence; }

function enable() {
  const up = call !== null && call.answered;
  find("call").disabled = call !== null;
  find("number").disabled = call !== null;
  find("hang-up").disabled = call === null;
  find("say-file").disabled = !up || !find("file").files.length;
  for (const key of phone.querySelectorAll("[data-key]")) key.disabled = !up;
}

function level(id, dbfs) { find(id).value = Math.max(-60, Math.min(0, dbfs)); }

function levelOf(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return 10 * Math.log10(2 * sum / samples.length / 32768 ** 2 + 1e-9);
}

async function microphone() {
  if (!find("use-microphone").checked) return null;
  show("Waiting for the browser to give the microphone …");
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    });
  } catch (error) {
    problem(error.name === "NotFoundError"
      ? "This computer has no microphone: you hear the call, and can speak from a sound file."
      : "The browser gave no microphone: allow it beside the address and call again. Until then "
        + "you hear the call, and can speak from a sound file.");
    return null;
  }
}

async function dial() {
  problem("");
  const own = call = { answered: false, over: false };
  enable();
  try {
    own.context = new AudioContext({ latencyHint: "interactive" });
    own.microphone = await microphone();
    if (!own.over) show("Calling …");
    await own.context.audioWorklet.addModule("/console/static/phone_audio.js");
    await own.context.resume();
  } catch (error) {
    hangUp(own, `The browser gave no sound: ${error.message}`);
    release(own);
    return;
  }
  if (own.over) { release(own); return; }
  own.node = new AudioWorkletNode(own.context, "phone-line", { outputChannelCount: [1] });
  own.node.connect(own.context.destination);
  if (own.microphone) own.context.createMediaStreamSource(own.microphone).connect(own.node);
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = own.socket = new WebSocket(`${scheme}//${location.host}/console/phone/line`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => socket.send(JSON.stringify({
    token: phone.dataset.token, number: find("number").value,
  }));
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") told(own, JSON.parse(data));
    else own.node.port.postMessage(data, [data]);
  };
  socket.onclose = () => hangUp(own, "The connection to the server broke off, so the call is over.");
  own.node.port.onmessage = ({ data }) => {
    if ("heard" in data) { level("heard", data.heard); return; }
    level("said", levelOf(new Int16Array(data.said)));
    if (own.answered && socket.bufferedAmount < MOST_WAITING_BYTES) send(own, data.said);
  };
}

function told(own, { state, why, call: session }) {
  if (state === "ringing") {
    show("It rings: waiting for the application …");
    // The page's own address is that of the call, so what is live on it is the call's.
    if (session) history.replaceState(null, "", `/console/phone?call=${encodeURIComponent(session)}`);
  } else if (state === "answered") {
    own.answered = true;
    own.since = performance.now();
    show("On the phone.");
    enable();
    clock(own);
  } else {
    hangUp(own, why, state === "refused");
  }
}

function send(own, data) {
  if (own.socket && own.socket.readyState === WebSocket.OPEN) own.socket.send(data);
}

function press(key) {
  if (!call || !call.answered) return;
  send(call, JSON.stringify({ press: key }));
  const button = phone.querySelector(`[data-key="${key}"]`);
  button.classList.add("down");
  setTimeout(() => button.classList.remove("down"), 150);
}

async function sayFile() {
  const own = call;
  const file = find("file").files[0];
  if (!own || !file) return;
  try {
    const sound = await own.context.decodeAudioData(await file.arrayBuffer());
    if (own.over) return;
    const source = own.context.createBufferSource();
    source.buffer = sound;
    source.connect(own.node);
    source.start();
  } catch {
    problem("The browser cannot read this file: take a WAV, MP3, Ogg or FLAC file.");
  }
}

function hangUp(own, why, refused = false) {
  if (own.over) return;
  own.over = true;
  release(own);
  if (call === own) call = null;
  show(!refused ? why : own.answered ? "The call was ended." : "The call was not made.");
  if (refused) problem(why);
  level("heard", -60);
  level("said", -60);
  enable();
}

function release(own) {
  if (own.socket) { own.socket.onclose = null; own.socket.close(); }
  if (own.microphone) for (const track of own.microphone.getTracks()) track.stop();
  if (own.node) own.node.port.postMessage("close");
  if (own.context && own.context.state !== "closed") own.context.close();
}

function clock(own) {
  if (own.over) return;
  const seconds = Math.floor((performance.now() - own.since) / 1000);
  find("clock").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  setTimeout(clock, 250, own);
}

function start() {
  if (!window.isSecureContext || !window.AudioWorkletNode || !navigator.mediaDevices) {
    problem("The browser gives microphone and loudspeaker to pages of https and of localhost only. "
      + "Open the console by an SSH tunnel (ssh -L 8081:127.0.0.1:8081 SERVER, then "
      + "http://localhost:8081/console/phone), or by a proxy with TLS.");
    return;
  }
  phone.hidden = false;
  find("dial").addEventListener("submit", (event) => { event.preventDefault(); if (!call) dial(); });
  find("hang-up").addEventListener("click", () => {
    const own = call;
    if (!own) return;
    if (own.socket && own.socket.readyState === WebSocket.OPEN) send(own, JSON.stringify({ hang_up: true }));
    else hangUp(own, "You hung up.");
  });
  find("file").addEventListener("change", enable);
  find("say-file").addEventListener("click", sayFile);
  phone.addEventListener("click", ({ target }) => { if (target.dataset.key) press(target.dataset.key); });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    if (event.target.closest("input, select, textarea") || !/^[0-9*#]$/.test(event.key)) return;
    press(event.key);
  });
  window.addEventListener("pagehide", () => { if (call) hangUp(call, "You left the page."); });
  enable();
}

if (phone) start();
