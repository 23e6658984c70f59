// Words where there is room for few.

/** @param {string} text @param {number} letters the most that there is room for */
export function shortened(text, letters) {
  return text.length <= letters ? text : `${text.slice(0, letters - 1).trimEnd()}\u2026`;
}
