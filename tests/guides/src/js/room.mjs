import { createServer } from 'node:http'
import { WebSocket, WebSocketServer } from 'ws'

const http = createServer((request, response) => {
  if (request.url !== '/') return response.writeHead(404).end()
  response.writeHead(200, { 'Content-Type': 'text/html' }).end('<h1>hello</h1>')
})
const wss = new WebSocketServer({ server: http, path: '/ws' })
const broadcast = (data, binary) => {
  for (const ws of wss.clients) if (ws.readyState === WebSocket.OPEN) ws.send(data, { binary })
}

wss.on('connection', (ws) => {
  ws.alive = true
  ws.on('pong', () => (ws.alive = true))
  ws.on('message', broadcast)
  ws.on('close', (code, reason) => console.error(code, reason.toString()))
  ws.on('error', console.error)
  ws.send('welcome')
})
setInterval(() => broadcast('tick', false), 1000)
setInterval(() => {
  for (const ws of wss.clients) {
    if (!ws.alive) ws.terminate()
    ws.alive = false
    ws.ping()
  }
}, 25000)
http.listen(0, '127.0.0.1', () => console.log(`ws://127.0.0.1:${http.address().port}/ws`))
