/** When somebody who types wants an answer. */

const PAUSE_MS = 200; // longer than between two letters, shorter than a look at the result

/**
 * Calls `paused` with the box's words as soon as they have not changed for a moment. While a character is being composed they
 * are not the writer's yet. Returns what cancels a pause that has begun.
 */
export function whenPaused(box, paused) {
  let timer;
  const cancel = () => clearTimeout(timer);
  const changed = (event) => {
    cancel();
    if (!event.isComposing) timer = setTimeout(() => paused(box.value.trim()), PAUSE_MS);
  };
  box.addEventListener("input", changed);
  box.addEventListener("compositionend", changed);
  box.addEventListener("compositionstart", cancel);
  return cancel;
}

/** Whether words are enough to search by before they are finished: one Latin letter is not, one of another script can be. */
export function isEnough(words) {
  return words.length >= 3 || /[^\u0000-\u024f]/u.test(words);
}
