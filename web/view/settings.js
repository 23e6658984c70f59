export function showSettings(call) {}
