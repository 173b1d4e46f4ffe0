// Where the mission comes from: the data inside the page, or the server's WebSocket.

const RETRY_MS = [500, 1000, 2000, 5000];

// on: {about, index, instant, gone, health, state}; the source has want(number), live(bool), alone(bool), rate(Hz).
export function openSource(on) {
  const inside = document.getElementById('mission-data');
  return inside ? embedded(JSON.parse(inside.textContent), on) : socket(on);
}

async function bitmap(bytes) {
  try {
    return await createImageBitmap(new Blob([bytes], { type: 'image/jpeg' }));
  } catch {
    return null; // a damaged image is left out
  }
}

function embedded(data, on) {
  const byNumber = new Map(data.instants.map((i) => [i.content.number, i]));
  async function want(number) {
    const found = byNumber.get(number);
    if (!found) return on.gone(number);
    const images = new Map();
    for (const [agent, camera, text] of found.images) {
      const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
      images.set(`${agent}/${camera}`, await bitmap(bytes));
    }
    on.instant(found.content, images, false);
  }
  queueMicrotask(() => {
    on.about(data.about);
    on.index(data.rows);
  });
  return { want, live() {}, alone() {}, rate() {}, embedded: true };
}

function socket(on) {
  const address = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws${location.search}`;
  let ws = null, tries = 0, pending = null, follow = true, single = false, hertz = null;
  const asked = new Set();

  function send(message) {
    if (ws && ws.readyState === WebSocket.OPEN) ws.send(JSON.stringify(message));
  }

  async function finish(message, bytes) {
    const images = new Map();
    let at = 0;
    for (const [agent, camera, size] of message.images) {
      images.set(`${agent}/${camera}`, await bitmap(bytes.slice(at, at + size)));
      at += size;
    }
    asked.delete(message.content.number);
    on.instant(message.content, images, message.newest);
  }

  function take(event) {
    if (typeof event.data !== 'string') {
      if (pending) finish(pending, event.data);
      pending = null;
      return;
    }
    const message = JSON.parse(event.data);
    if (message.type === 'instant') {
      if (message.images.length) pending = message;
      else finish(message, new ArrayBuffer(0));
    } else if (message.type === 'gone') {
      asked.delete(message.number);
      on.gone(message.number);
    } else if (message.type === 'about') on.about(message);
    else if (message.type === 'index') on.index(message.rows);
    else if (message.type === 'health') on.health(message);
  }

  function connect() {
    ws = new WebSocket(address);
    ws.binaryType = 'arraybuffer';
    ws.onopen = () => {
      tries = 0;
      asked.clear();
      on.state('');
      send({ live: follow, alone: single, ...(hertz === null ? {} : { rate: hertz }) });
    };
    ws.onmessage = take;
    ws.onclose = () => {
      on.state('the server has gone: what was received stays here');
      setTimeout(connect, RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]);
    };
  }

  // A hidden page asks for nothing.
  document.addEventListener('visibilitychange', () => send({ live: follow && !document.hidden }));
  connect();
  return {
    want(number) {
      if (asked.has(number)) return;
      asked.add(number);
      send({ want: number });
    },
    live(on) {
      follow = on;
      send({ live: on && !document.hidden });
    },
    alone(on) {
      if (on === single) return;
      single = on;
      send({ alone: on });
    },
    rate(hz) {
      hertz = hz;
      send({ rate: hz });
    },
    embedded: false,
  };
}
