// Sends messages and checks their echoes: shared by the JavaScript peers, including a page.

const MESSAGES_IN_FLIGHT = 32; // at most
const BYTES_IN_FLIGHT = 256 * 1024; // at most
const PAUSE_EVERY = 100; // messages
const PAUSE = 2; // ms
const TO_ALL_EVERY = 8; // messages
const REMEMBERED = 64; // messages that may be repeated
const WORDS = [
  'alpha', 'beta', 'gamma', 'delta', '{"id":', '"name":"', '",', '}', 'true', 'null', ' ', '\n', '0', '17', '3.25',
  '\u00e9', '\u6c34', '\u{1f600}', 'the quick brown fox jumps over the lazy dog',
];

const encode = (data) => (typeof data === 'string' ? new TextEncoder().encode(data) : data);
const same = (a, b) => typeof a === typeof b
  && (typeof a === 'string' ? a === b : a.length === b.length && a.every((byte, i) => byte === b[i]));

/** Whole numbers from 0 up to `n`, excluded, from a seed. */
function random(seed) {
  let state = seed >>> 0;
  return (n) => { // mulberry32
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n);
  };
}

/**
 * Seeded messages: most are short, some have up to 64 KiB; text and bytes, of words, of noise, or of earlier
 * messages. As a member of a room, it marks each with its own digit: those that begin with `*`, one in eight, go to
 * all; and it records what other members send.
 */
export class Exchange {
  /** `digest` returns what identifies a message. */
  constructor(seed, count, { member = '', members = 1, digest } = {}) {
    Object.assign(this, { seed, count, member, members, digest, random: random(seed) });
    this.made = 0;
    this.bytes = 0;
    this.bytesInFlight = 0;
    this.inFlight = [];
    this.remembered = [];
    this.sentToAll = [];
    this.fromOthers = {};
    this.fromOthersCount = 0;
    this.sending = false;
  }

  get done() {
    const others = (this.members - 1) * Math.ceil(this.count / TO_ALL_EVERY);
    return this.made === this.count && this.inFlight.length === 0 && this.fromOthersCount === others;
  }

  /** Calls `send` with the fragments of each message that may be sent now. */
  async sendMore(send) {
    if (this.sending) return;
    this.sending = true;
    for (;;) {
      const pauses = this.made > 0 && this.made % PAUSE_EVERY === 0;
      const full = this.inFlight.length >= MESSAGES_IN_FLIGHT || this.bytesInFlight >= BYTES_IN_FLIGHT;
      if (this.made === this.count || full || (pauses && this.inFlight.length > 0)) break;
      if (pauses) await new Promise((resolve) => { setTimeout(resolve, PAUSE); });
      send(this.next());
    }
    this.sending = false;
  }

  next() {
    let message = this.generate();
    if (this.member) {
      const mark = (this.made % TO_ALL_EVERY === 0 ? '*' : '=') + this.member;
      message = typeof message === 'string' ? mark + message : new Uint8Array([...encode(mark), ...message]);
      if (mark[0] === '*') this.sentToAll.push(this.digest(message));
    }
    this.made += 1;
    this.inFlight.push(message);
    this.bytesInFlight += encode(message).length;
    return this.fragments(message);
  }

  /** Handles a received string or bytes; throws if it is not the expected message. */
  handle(message) {
    if (this.member) {
      const sender = typeof message === 'string' ? message[1] : String.fromCharCode(message[1]);
      if (sender !== this.member) {
        (this.fromOthers[sender] ??= []).push(this.digest(message));
        this.fromOthersCount += 1;
        return;
      }
    }
    const wanted = this.inFlight.shift();
    if (wanted === undefined || !same(message, wanted)) {
      const index = this.made - this.inFlight.length - 1;
      const describe = (data) => `${typeof data} of ${data?.length}`;
      throw new Error(`message ${index} of seed ${this.seed}: ${describe(message)}, not the same as ${describe(wanted)}`);
    }
    const { length } = encode(message);
    this.bytes += length;
    this.bytesInFlight -= length;
  }

  generate() {
    const of = this.random(100);
    const size = this.random((of < 75 ? 200 : of < 95 ? 4096 : 65536) + 1);
    const isText = this.random(2) === 0;
    const content = this.random(4);
    let made;
    if (content === 0) {
      const bytes = Uint8Array.from({ length: size }, () => this.random(256));
      made = isText ? Array.from(bytes, (byte) => 'abcdefghijklmnopqrstuvwxyzABCDEF0123456789'[byte % 42]).join('') : bytes;
    } else if (content === 1 && this.remembered.length > 0) {
      const again = this.remembered[this.random(this.remembered.length)];
      made = isText ? again : encode(again);
    } else {
      made = '';
      while (made.length < size) made += WORDS[this.random(WORDS.length)];
      if (!isText) made = encode(made);
    }
    if (typeof made === 'string') {
      if (this.remembered.length === REMEMBERED) this.remembered.shift();
      this.remembered.push(made);
    }
    return made;
  }

  /** Cuts one in four messages into up to five, some perhaps empty. A text is cut between characters. */
  fragments(message) {
    const count = this.random(4) === 0 ? 1 + this.random(4) : 0;
    const inside = (at) => typeof message === 'string' && (message.charCodeAt(at) & 0xfc00) === 0xdc00;
    const ends = Array.from({ length: count }, () => this.random(message.length + 1)).map((at) => (inside(at) ? at + 1 : at));
    const cuts = [0, ...ends.sort((a, b) => a - b), message.length];
    return cuts.slice(1).map((end, i) => message.slice(cuts[i], end));
  }
}
