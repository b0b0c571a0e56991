/** `npm run bench`: measures an operator beside what the machine allows, and prints the table of docs/performance.md. */
import { writeFile } from 'node:fs/promises'
import { reasonOf } from '../src/errors.ts'
import type { Figure } from './figure.ts'
import { type Options, readOptions, usage } from './options.ts'
import { Bench } from './rig.ts'
import { burstRows } from './rows/burst.ts'
import { dockerRows } from './rows/docker.ts'
import { editRows } from './rows/edits.ts'
import { importRows } from './rows/imports.ts'
import { calmRows } from './rows/calm.ts'
import { latencyRows } from './rows/latency.ts'
import { orgRows } from './rows/orgs.ts'
import { restartRows } from './rows/restart.ts'
import { sizeRows } from './rows/size.ts'
import { table } from './table.ts'

const report = (line: string): void => void process.stderr.write(`${line}\n`)

async function measure(options: Options): Promise<void> {
  await using bench = await Bench.start(options, report)
  const figures: Figure[] = []
  // What one family finds is kept when another fails: an operator that cannot do a row still has the others.
  const failures: string[] = []
  for (const rows of [
    burstRows,
    editRows,
    latencyRows,
    restartRows,
    sizeRows,
    calmRows,
    orgRows,
    importRows,
    dockerRows,
  ])
    try {
      figures.push(...(await rows(bench)))
    } catch (error) {
      failures.push(`${rows.name}: ${reasonOf(error)}`)
    }
  figures.sort((a, b) => a.row - b.row)
  process.stdout.write(`${table(figures)}\n`)
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify({ rows: figures }, null, 2)}\n`)
  if (failures.length > 0) throw new Error(failures.join('\n'))
}

if (process.argv.includes('--help')) process.stdout.write(usage)
else
  try {
    await measure(readOptions(process.argv.slice(2)))
  } catch (error) {
    report(reasonOf(error))
    process.exitCode = 1
  }
