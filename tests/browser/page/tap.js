// Runs before the page's own scripts: records what it plays, and notes the events that it gets.

window.tap = { pieces: [], arrivals: [], events: [] };

// By the worklet that the page has for its microphone, since a page of its own policy takes none from elsewhere.
async function record(context, source) {
  await context.audioWorklet.addModule("/page/audio/capture-worklet.js");
  const node = new AudioWorkletNode(context, "capture", {
    numberOfOutputs: 0,
    channelCount: 1,
    channelCountMode: "explicit",
  });
  node.port.onmessage = ({ data: { pcm } }) => {
    tap.pieces.push(new Uint8Array(pcm));
    tap.arrivals.push(performance.now());
  };
  source.connect(node);
}

// The page may close what it plays with before this was ready.
function closed(error) {
  if (error.name !== "AbortError") throw error;
}

function note(data) {
  const event = JSON.parse(data);
  if (typeof event.delta === "string" && event.type === "response.output_audio.delta") event.delta = event.delta.length;
  tap.events.push({ at: performance.now(), ...event });
}

// Over a WebSocket the page plays PCM itself.
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode) record(this.context, this).catch(closed);
  return connect.call(this, target, ...rest);
};
window.WebSocket = class extends WebSocket {
  constructor(...options) {
    super(...options);
    this.addEventListener("message", ({ data }) => note(data));
  }
};

// Over WebRTC the browser does.
window.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(...options) {
    super(...options);
    tap.peer = this;
    this.addEventListener("track", ({ track }) => {
      const context = new AudioContext();
      record(context, context.createMediaStreamSource(new MediaStream([track]))).catch(closed);
    });
  }

  createDataChannel(...options) {
    const channel = super.createDataChannel(...options);
    channel.addEventListener("message", ({ data }) => note(data));
    return channel;
  }
};

window.tapped = () => {
  let binary = "";
  for (const piece of tap.pieces) binary += String.fromCharCode(...piece);
  return { pcm: btoa(binary), arrivals: tap.arrivals };
};
