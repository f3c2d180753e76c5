/** That a document was opened from the results: the browser keeps the referrer to itself, so the pages tell each other. */

const OPENED = "opened"; // in sessionStorage: the document's address

/** On the results: the document of this address is about to be opened. */
export function noteOpening(address) {
  try {
    sessionStorage.setItem(OPENED, address);
  } catch {
    // Storage can be blocked: then the way back is the link, and the results are asked for again.
  }
}

/** On the document: keeps with this entry of the history that the one before it is the results; a reload keeps that too. */
export function noteArrival() {
  try {
    if (sessionStorage.getItem(OPENED) === location.href) history.replaceState({ fromResults: true }, "");
    sessionStorage.removeItem(OPENED);
  } catch {
    // as said
  }
}
