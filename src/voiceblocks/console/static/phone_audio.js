// The sound of the phone, on the audio thread: from the context's rate to 8 kHz and back, and a
// jitter buffer (the rules of testing/playout.py) for what comes from the server.
"use strict";

const LINE_HZ = 8000;
const MS = LINE_HZ / 1000;
const FRAME = 40 * MS;  // That is sent at a time.
const STEP = 10 * MS;   // That is taken from the jitter buffer at a time.
const LEVELS_EVERY_S = 0.1;

function divisor(a, b) { return b ? divisor(b, a % b) : a; }

// The modified Bessel function I0, for Kaiser's window.
function bessel(x) {
  let sum = 1, term = 1;
  for (let k = 1; k < 30; k++) { term *= (x / (2 * k)) ** 2; sum += term; }
  return sum;
}

// Resamples by a windowed sinc: for each place between two input samples a kernel of its own.
// Flat to 3.4 kHz, 60 dB down from 4 kHz on, so nothing is folded over or mirrored.
class Resampler {
  constructor(fromHz, toHz) {
    const common = divisor(fromHz, toHz);
    this.up = toHz / common;
    this.down = fromHz / common;
    const slower = Math.min(fromHz, toHz);
    const edge = 3700 / fromHz;
    this.half = Math.ceil(24 * fromHz / slower);
    this.kernels = [];
    for (let phase = 0; phase < this.up; phase++) {
      const kernel = new Float32Array(2 * this.half);
      let sum = 0;
      for (let i = 0; i < kernel.length; i++) {
        const x = i - this.half + 1 - phase / this.up;
        const turn = 2 * Math.PI * edge * x;
        const sinc = x === 0 ? 1 : Math.sin(turn) / turn;
        const along = x / this.half;
        const window = Math.abs(along) < 1 ? bessel(5.65 * Math.sqrt(1 - along * along)) : 0;
        kernel[i] = sinc * window;
        sum += kernel[i];
      }
      for (let i = 0; i < kernel.length; i++) kernel[i] /= sum;
      this.kernels.push(kernel);
    }
    this.held = new Float32Array(8192);
    this.count = this.half;   // As if silence had been before.
    this.at = this.half - 1;  // The input sample at or before the next output sample.
    this.phase = 0;
  }

  // Take input samples; give each output sample to `out`.
  push(samples, out) {
    if (this.count + samples.length > this.held.length) {
      const done = Math.max(0, this.at - this.half + 1);
      this.held.copyWithin(0, done, this.count);
      this.count -= done;
      this.at -= done;
    }
    this.held.set(samples, this.count);
    this.count += samples.length;
    while (this.at + this.half < this.count) {
      const kernel = this.kernels[this.phase];
      const first = this.at - this.half + 1;
      let sum = 0;
      for (let i = 0; i < kernel.length; i++) sum += this.held[first + i] * kernel[i];
      out(sum);
      this.phase += this.down;
      while (this.phase >= this.up) { this.phase -= this.up; this.at++; }
    }
  }
}

class Playout {
  constructor() {
    this.held = new Float32Array(500 * MS);
    this.depth = 0;
    this.target = 80 * MS;
    this.filling = true;
    this.dryFor = 500 * MS;
    this.calmFor = this.looked = 0;
    this.lowest = Infinity;
  }

  push(samples) {
    const over = this.depth + samples.length - this.held.length;
    if (over > 0) this.skip(over);
    this.held.set(samples, this.depth);
    this.depth += samples.length;
  }

  skip(count) {
    this.held.copyWithin(0, count, this.depth);
    this.depth -= count;
  }

  pull(frame) {
    frame.fill(0);
    if (this.filling) {
      if (this.depth < Math.max(this.target, frame.length)) { this.dryFor += frame.length; return; }
      this.filling = false;
      if (this.dryFor < 500 * MS) this.target = Math.min(200 * MS, this.target + 20 * MS);
      this.calmFor = this.looked = 0;
      this.lowest = Infinity;
    }
    const given = Math.min(this.depth, frame.length);
    frame.set(this.held.subarray(0, given));
    this.skip(given);
    if (given < frame.length) { this.filling = true; this.dryFor = frame.length - given; return; }
    this.adapt(frame.length);
  }

  adapt(count) {
    this.lowest = Math.min(this.lowest, this.depth);
    this.looked += count;
    this.calmFor += count;
    if (this.calmFor >= 30000 * MS) {
      this.calmFor = 0;
      this.target = Math.max(80 * MS, this.target - 20 * MS);
    }
    if (this.looked >= 1000 * MS) {
      const excess = this.lowest - this.target;
      if (excess > 0) this.trim(Math.max(10 * MS, Math.floor(excess / 4)));
      this.looked = 0;
      this.lowest = Infinity;
    }
  }

  trim(count) {
    const fade = 5 * MS;
    for (let i = 0; i < fade; i++) {
      const share = (i + 1) / (fade + 1);
      this.held[count + i] = this.held[i] * (1 - share) + this.held[count + i] * share;
    }
    this.skip(count);
  }
}

class PhoneLine extends AudioWorkletProcessor {
  constructor() {
    super();
    this.toLine = new Resampler(sampleRate, LINE_HZ);
    this.fromLine = new Resampler(LINE_HZ, sampleRate);
    this.playout = new Playout();
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
    this.step = new Float32Array(STEP);
    this.ready = new Float32Array(4096);
    this.readyCount = 0;
    this.silence = new Float32Array(128);
    this.played = this.playedCount = 0;
    this.told = currentTime;
    this.open = true;
    this.port.onmessage = ({ data }) => {
      if (data === "close") { this.open = false; return; }
      this.playout.push(Float32Array.from(new Int16Array(data), (sample) => sample / 32768));
    };
  }

  process([input], [output]) {
    this.say(input[0] ? mono(input) : this.silence);
    const speaker = output[0];
    while (this.readyCount < speaker.length) {
      this.playout.pull(this.step);
      this.fromLine.push(this.step, (sample) => { this.ready[this.readyCount++] = sample; });
    }
    speaker.set(this.ready.subarray(0, speaker.length));
    this.ready.copyWithin(0, speaker.length, this.readyCount);
    this.readyCount -= speaker.length;
    for (const sample of speaker) this.played += sample * sample;
    this.playedCount += speaker.length;
    if (currentTime - this.told >= LEVELS_EVERY_S) {
      this.port.postMessage({ heard: 10 * Math.log10(2 * this.played / this.playedCount + 1e-9) });
      this.played = this.playedCount = 0;
      this.told = currentTime;
    }
    return this.open;
  }

  say(samples) {
    this.toLine.push(samples, (sample) => {
      this.frame[this.filled++] = Math.round(32767 * Math.max(-1, Math.min(1, sample)));
      if (this.filled === FRAME) {
        const sent = this.frame.slice();
        this.port.postMessage({ said: sent.buffer }, [sent.buffer]);
        this.filled = 0;
      }
    });
  }
}

function mono(channels) {
  if (channels.length === 1) return channels[0];
  const mixed = new Float32Array(channels[0].length);
  for (const channel of channels) {
    for (let i = 0; i < mixed.length; i++) mixed[i] += channel[i] / channels.length;
  }
  return mixed;
}

registerProcessor("phone-line", PhoneLine);
