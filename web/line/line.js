// What a conversation goes over.

/**
 * @typedef {object} LineOptions
 * @property {string} secret a key for this conversation; "" where none is needed
 * @property {string} query what the server is told in the address
 * @property {string} speaker the device that plays; "" for the default
 * @property {(event: import("./events.js").ServerEvent) => void} onEvent words of the agent come when they are heard
 * @property {(level: number) => void} onLevel of the agent's voice
 * @property {(at: number) => void} onSound the agent begins to sound, in ms on the page's clock
 * @property {(code: number, reason: string) => void} onClosed it ended, and not by ``close``
 */

/**
 * @typedef {object} Line
 * @property {string} kind its name
 * @property {() => Promise<void>} open
 * @property {(event: object) => void} send
 * @property {(pcm: Uint8Array, capturedAt: number) => void} hear takes 20 ms of the microphone
 * @property {(sessionMs: number) => number | undefined} capturedAt when that place of the user's audio was taken in, if
 *   it is known
 * @property {number} wayMs where it is not: what the audio's way takes besides what the page can see
 * @property {(track: MediaStreamTrack | null) => Promise<void>} useTrack the microphone, for lines that take it whole
 * @property {(deviceId: string) => Promise<void>} chooseSpeaker
 * @property {() => Promise<void>} close
 */

export {};
