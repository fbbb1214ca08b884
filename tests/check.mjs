// Prints one line per check and a total; the exit status reports failures.

const GUARD = 60_000; // ms until a check counts as hung

let passed = 0;
let failed = 0;

export async function check(name, body) {
  let timer;
  const guard = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no end within ${GUARD / 1000} s`)), GUARD);
  });
  try {
    await Promise.race([body(), guard]);
    passed += 1;
    console.log(`ok    ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL  ${name}: ${error.message}`);
  } finally {
    clearTimeout(timer);
  }
}

export function finish(title) {
  console.log(`${title}:\n${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}

/** The sizes where the length of a frame changes its form, and the default maximum. */
export const SIZES = [0, 1, 125, 126, 65_535, 65_536, 16 * 1024 * 1024];

/** Text of exactly `size` bytes in UTF-8, most of its characters three bytes long. */
export function textOf(size) {
  return '\u20ac'.repeat(Math.floor(size / 3)) + 'x'.repeat(size % 3);
}
