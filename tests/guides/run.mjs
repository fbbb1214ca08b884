// Runs both rooms of docs/from-node-ws.md, before and after, with the same clients.
import { spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const interop = join(here, '../interop')
const WebSocket = createRequire(join(interop, 'here.js'))('ws')

/** Returns what a room's clients receive, and its HTTP responses. */
async function visit(url) {
  const received = { a: [], b: [] }
  const [a, b] = ['a', 'b'].map((name) => {
    const ws = new WebSocket(url)
    ws.on('message', (data) => received[name].push(data.toString()))
    return ws
  })
  await Promise.all([a, b].map((ws) => new Promise((open) => ws.on('open', open))))
  a.send('hello')
  const wanted = ['welcome', 'hello', 'tick']
  while (!Object.values(received).every((texts) => wanted.every((text) => texts.includes(text)))) {
    await new Promise((later) => setTimeout(later, 50))
  }
  const closed = [a, b].map((ws) => new Promise((close) => ws.on('close', (code) => close(code))))
  a.close(1000, 'bye')
  b.close(1000)
  const codes = await Promise.all(closed)
  const page = url.replace('ws:', 'http:').replace(/ws$/, '')
  const statuses = []
  for (const path of ['', 'nowhere', 'ws']) statuses.push((await fetch(page + path)).status)
  return { first: [received.a[0], received.b[0]], codes, html: await (await fetch(page)).text(), statuses }
}

async function run(command, ...args) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    for await (const url of createInterface(child.stdout)) return await visit(url)
    throw new Error(`${command} prints nothing`)
  } finally {
    child.kill()
  }
}

setTimeout(() => {
  console.error('guides: no end after a minute')
  process.exit(1)
}, 60000).unref()

// Node.js looks for packages beside the program.
const folder = mkdtempSync(join(tmpdir(), 'guides-'))
try {
  copyFileSync(join(here, 'src/js/room.mjs'), join(folder, 'room.mjs'))
  symlinkSync(join(interop, 'node_modules'), join(folder, 'node_modules'))
  const before = await run(process.execPath, join(folder, 'room.mjs'))
  const after = await run(process.argv[2])
  // `ws` answers 404 to a plain request for the socket's path.
  const known = [[200, 404, 404], [200, 404, 426]]
  const statuses = [before.statuses, after.statuses]
  delete before.statuses
  delete after.statuses
  if (JSON.stringify(statuses) !== JSON.stringify(known)) throw new Error(JSON.stringify(statuses))
  if (JSON.stringify(before) !== JSON.stringify(after)) throw new Error(JSON.stringify({ before, after }))
  if (before.codes.some((code) => code !== 1000)) throw new Error(`closed with ${before.codes}`)
  console.log('guides: both rooms behave alike')
} finally {
  rmSync(folder, { recursive: true })
}
