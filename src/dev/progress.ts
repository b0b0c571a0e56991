/** Where a slow step tells what it is doing: one short line for people, without a newline. */
export type Report = (line: string) => void

const firstLine = 2_000
const nextLines = 5_000

/** Runs `work`; when it takes more than two seconds, says `text` then, and how long it has been every five seconds. */
export async function withProgress<T>(report: Report, text: string, work: Promise<T>): Promise<T> {
  const started = performance.now()
  const say = () => report(`${text} … ${String(Math.round((performance.now() - started) / 1000))} s`)
  let ticking: NodeJS.Timeout | undefined
  const first = setTimeout(() => {
    say()
    ticking = setInterval(say, nextLines)
  }, firstLine)
  try {
    return await work
  } finally {
    clearTimeout(first)
    clearInterval(ticking)
  }
}
