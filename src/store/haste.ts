/**
 * How long a write may wait for company, with which it becomes one statement: `now` not at all, since somebody waits for
 * it; `soon` up to 100 ms while others keep coming; `calm` up to 500 ms, for what comes in great numbers.
 */
export type Haste = 'now' | 'soon' | 'calm'
