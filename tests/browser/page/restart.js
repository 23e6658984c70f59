// A call of a page that is not ours, by the protocol alone; its network changes while the agent speaks.
async () => {
  const pc = new RTCPeerConnection();
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  for (const track of stream.getTracks()) {
    track.enabled = false;
    pc.addTrack(track, stream);
  }
  const channel = pc.createDataChannel("oai-events");
  const events = [];
  const watchers = new Set();
  channel.onmessage = (message) => {
    events.push(JSON.parse(message.data));
    for (const watcher of watchers) watcher();
  };
  const until = (type, since = 0) =>
    new Promise((resolve) => {
      const look = () => {
        if (!events.slice(since).some((event) => event.type === type)) return;
        watchers.delete(look);
        resolve();
      };
      watchers.add(look);
      look();
    });
  const post = async (url) => {
    await pc.setLocalDescription();
    const headers = { "Content-Type": "application/sdp" };
    const response = await fetch(url, { method: "POST", body: pc.localDescription.sdp, headers });
    const answer = await response.text();
    if (response.ok) await pc.setRemoteDescription({ type: "answer", sdp: answer });
    return { status: response.status, location: response.headers.get("Location") };
  };
  const path = async () => {
    const stats = await pc.getStats();
    const transport = [...stats.values()].find((entry) => entry.type === "transport");
    return `${transport.iceLocalUsernameFragment} ${transport.dtlsState}`;
  };
  const speak = async () => {
    const since = events.length;
    channel.send(JSON.stringify({ type: "response.create" }));
    await until("output_audio_buffer.started", since);
    return since;
  };

  const begun = await post("/v1/realtime/calls");
  await until("session.created");
  const since = await speak();
  const before = await path();
  pc.restartIce();
  const renewed = await post(begun.location);
  await until("output_audio_buffer.stopped", since);
  await until("output_audio_buffer.stopped", await speak());
  const after = await path();
  const state = pc.connectionState;
  pc.close();
  return { statuses: [begun.status, renewed.status], before, after, state, events };
};
