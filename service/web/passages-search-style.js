/**
 * How <passages-search> looks. It begins with nothing of the page's but whether it is dark; variables change it, and every
 * part can be styled.
 */
export const STYLE = `
:host {
  display: block;
  container-type: inline-size;
  --_ink: var(--passages-ink, light-dark(#1e1d1b, #e5e1d9));
  --_quiet: var(--passages-quiet, light-dark(#68635a, #a39d92));
  --_paper: var(--passages-paper, light-dark(#fff, #17181a));
  --_field: var(--passages-field, light-dark(#fff, #1f2123));
  --_rule: var(--passages-rule, light-dark(#dcd7cd, #36383b));
  --_link: var(--passages-link, light-dark(#1d4a78, #9fc4ea));
  --_evidence: var(--passages-evidence, light-dark(#fbecb4, #4b3f16));
  --_match: var(--passages-match, light-dark(#7a4f00, #f0c869));
  --_problem: var(--passages-problem, light-dark(#9a2f1b, #f09a83));
  --_radius: var(--passages-radius, .25rem);
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
[hidden] { display: none !important; }

.root {
  all: initial; /* what the page's own rules for every element give the host ends here */
  display: block;
  color-scheme: inherit;
  padding: var(--passages-padding, 1em);
  background: var(--_paper);
  color: var(--_ink);
  font-family: var(--passages-font, system-ui, -apple-system, "Segoe UI", "Noto Sans", "Liberation Sans", sans-serif);
  font-size: var(--passages-size, medium);
  line-height: 1.5;
}
p, ol { margin: 0; }
label { display: block; margin-bottom: .35em; color: var(--_quiet); font-size: .875em; }
.ask { display: flex; gap: .5em; }
input, button { font: inherit; color: inherit; border: 1px solid var(--_quiet); border-radius: var(--_radius); }
input { flex: 1; min-width: 0; padding: .5em .75em; background: var(--_field); }
input::placeholder { color: var(--_quiet); opacity: 1; }
button { padding: .5em 1em; background: var(--_field); cursor: pointer; }
:focus-visible { outline: .15em solid var(--_link); outline-offset: .15em; }

.status { min-height: 1.5em; margin-top: .75em; }
.verdict { font-weight: 600; }
.verdict:empty { display: none; }
.said { color: var(--_quiet); font-size: .875em; }
.problem .said { color: var(--_problem); }

ol { margin-top: .5em; padding: 0; list-style: none; transition: opacity .1s .2s; }
[aria-busy="true"] ol { opacity: .55; } /* only after a moment: most answers are there before */
li { padding: .9em 0 1em; border-top: 1px solid var(--_rule); }
.title { font-weight: 600; overflow-wrap: anywhere; }
a { color: var(--_link); text-decoration: none; }
a:hover, a:focus { text-decoration: underline; }
.heading { color: var(--_quiet); font-size: .875em; }
.passage { margin: .25em 0 .4em; line-height: 1.6; white-space: pre-line; overflow-wrap: anywhere; }
mark { padding: .06em 0; background: var(--_evidence); color: inherit; }
b { font-weight: 600; color: var(--_match); }
/* What does not answer is not dressed up as if it did. */
[part~="weak"] mark { background: color-mix(in oklab, var(--_evidence) 45%, var(--_paper)); }
[part~="nothing"] .title { font-weight: 500; }
[part~="nothing"] mark { background: none; text-decoration: underline dotted var(--_quiet) .06em; text-underline-offset: .25em; }
[part~="nothing"] b { color: inherit; }
.source { display: flex; flex-wrap: wrap; gap: 0 1.25em; color: var(--_quiet); font-size: .8125em; }

@container (max-width: 16rem) { .ask { flex-wrap: wrap; } button { flex: 1; } }
@media (prefers-reduced-motion: reduce) { ol { transition: none; } }
@media (forced-colors: active) { mark { text-decoration: underline; } }
`;
