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
  const began = performance.now()
  // Most of an outage is waiting: the two lanes share the machine.
  const lanes = [sweepLane, outageLane]
  const lines = (await Promise.all(lanes.map((lane) => lane(stage, options, announce)))).flat()
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
