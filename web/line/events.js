// The events that the page reads, as docs/EVENTS.md and the Realtime protocol have them.

/**
 * @typedef {{type: "session.created" | "session.updated", session: any}
 *   | {type: "input_audio_buffer.speech_started", item_id: string, audio_start_ms: number}
 *   | {type: "input_audio_buffer.speech_stopped", item_id: string, audio_end_ms: number}
 *   | {type: "input_audio_buffer.committed", item_id: string}
 *   | {type: "conversation.item.added" | "conversation.item.done", item: any}
 *   | {type: "conversation.item.input_audio_transcription.delta", item_id: string, delta: string}
 *   | {type: "conversation.item.input_audio_transcription.segment", item_id: string, text: string, speaker: string}
 *   | {type: "conversation.item.input_audio_transcription.completed", item_id: string, transcript: string}
 *   | {type: "conversation.item.input_audio_transcription.failed", item_id: string}
 *   | {type: "response.created", response: any}
 *   | {type: "response.output_audio.delta", response_id: string, item_id: string, delta: string}
 *   | {type: "response.output_audio_transcript.delta", response_id: string, item_id: string, delta: string}
 *   | {type: "response.output_text.delta", response_id: string, item_id: string, delta: string}
 *   | {type: "response.done", response: any}
 *   | {type: "output_audio_buffer.started" | "output_audio_buffer.stopped" | "output_audio_buffer.cleared", response_id: string}
 *   | {type: "antiphon.state", state: "idle" | "listening" | "thinking" | "speaking" | "barged_in"}
 *   | {type: "antiphon.speaker", item_id: string, speaker: string}
 *   | {type: "antiphon.brain", response_id: string, model: string}
 *   | {type: "antiphon.voice", response_id: string, item_id: string, voice: string}
 *   | {type: "antiphon.clause", response_id: string, item_id: string, text: string}
 *   | {type: "antiphon.thought", text: string}
 *   | {type: "antiphon.turn", item_id: string, response_id: string, ahead: boolean, marks: Record<string, number>,
 *      served_by?: Record<string, string | null>}
 *   | {type: "antiphon.barge_in", response_id: string, outcome: string, words: string, marks: Record<string, number>}
 *   | {type: "antiphon.agent", agent: string, voice: string}
 *   | {type: "antiphon.tool", call_id: string, name: string,
 *      status: "running" | "progress" | "completed" | "failed" | "cancelled", text?: string}
 *   | {type: "antiphon.conversation", conversation_id: string, items: number}
 *   | {type: "antiphon.fleet", status: string, missing: string[], workers: any[]}
 *   | {type: "antiphon.record", session_id: string, url: string, kept_s: number}
 *   | {type: "antiphon.resumable", token: string, waits_s: number}
 *   | {type: "antiphon.resumed", session: any, missed: number}
 *   | {type: "error", error: {code: string | null, message: string, type: string}}
 * } ServerEvent
 */

export {};
