/** `npm run faults`: breaks what can break, one thing at a time, and prints what came of it as a table. */
import { writeFile } from 'node:fs/promises'
import { reasonOf } from '../../src/errors.ts'
import { outageLane } from './outage-lane.ts'
import { readOptions, usage, type Options } from './options.ts'
import { Stage } from './stage.ts'
import { sweepLane } from './sweep-lane.ts'
import { table, type Line } from './table.ts'

const report = (line: string): void => void process.stderr.write(`${line}\n`)

/** True when every line held. */
async function run(options: Options): Promise<boolean> {
  await using stage = await Stage.open(report)
  const breakOff = () => void stage.abandon().finally(() => process.exit(130))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, breakOff)
  const began = performance.now()
  // Most of an outage is waiting: the two lanes share the machine.
  const lanes = [sweepLane, outageLane]
  const ended = await Promise.allSettled(lanes.map((lane) => lane(stage, options, announce)))
  const lines = ended.flatMap((end) => (end.status === 'fulfilled' ? end.value : broken(end.reason)))
  const short = lines.filter(({ verdict }) => verdict === 'SHORT').length
  process.stdout.write(`${table(lines)}\n\n`)
  const minutes = ((performance.now() - began) / 60_000).toFixed(1)
  const skipped = lines.filter(({ verdict }) => verdict === 'SKIPPED').length
  process.stdout.write(
    `${lines.length - short - skipped} held, ${short} fell short, ${skipped} skipped, ${minutes} min\n`,
  )
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify({ lines }, null, 2)}\n`)
  return short === 0
}

/** A lane that could not go on falls short as a whole. */
const broken = (reason: unknown): Line => ({
  fault: 'the sweep itself',
  where: '-',
  end: reasonOf(reason),
  duplicates: 0,
  verdict: 'SHORT',
})

function announce(line: Line): void {
  const [, , row = ''] = table([line]).split('\n')
  report(row)
  if (line.said !== undefined) report(line.said.replaceAll(/^/gm, '    '))
}

if (process.argv.includes('--help')) process.stdout.write(usage)
else
  try {
    process.exitCode = (await run(readOptions(process.argv.slice(2)))) ? 0 : 1
  } catch (error) {
    report(reasonOf(error))
    process.exitCode = 1
  }
