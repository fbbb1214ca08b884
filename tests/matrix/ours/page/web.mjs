// The WebSocket API as a peer: in browsers, and in undici. The README of the matrix specifies a peer.

const DONE = 1000;

/** Connects to `url` repeatedly, until that fails or the server closes with `DONE`. */
export async function follow(WebSocket, url, version) {
  let ended = '';
  for (;;) {
    const { opened, code, reason } = await connection(new WebSocket(url, ['matrix']), version, ended);
    if (!opened || code === DONE) return;
    ended = `ended: ${code} ${reason}`;
  }
}

function connection(socket, version, ended) {
  socket.binaryType = 'arraybuffer';
  let opened = false;
  socket.onopen = () => {
    opened = true;
    const { protocol, extensions } = socket;
    socket.send(`hello\nversion: ${version}\nsubprotocol: ${protocol}\nextensions: ${extensions}\n${ended}`);
  };
  socket.onmessage = ({ data }) => {
    const close = typeof data === 'string' && /^\/close (\d+) (.*)$/.exec(data);
    if (close) socket.close(Number(close[1]), close[2]);
    // The API has neither pings nor fragments.
    else if (typeof data === 'string' && data.startsWith('/')) socket.send('/cannot');
    else socket.send(data);
  };
  return new Promise((resolve) => {
    socket.onclose = ({ code, reason }) => resolve({ opened, code, reason });
  });
}
