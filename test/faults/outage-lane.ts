/** Outages and changes of leader, one after the other, each on a control plane of its own. */
import { reasonOf } from '../../src/errors.ts'
import { accident, accidents } from './accidents.ts'
import { changeInAct, changes } from './act-changes.ts'
import { handover, handovers } from './leaders.ts'
import type { Options } from './options.ts'
import { outage, outages } from './outages.ts'
import type { Stage } from './stage.ts'
import type { Line } from './table.ts'

export async function outageLane(stage: Stage, options: Options, announce: (line: Line) => void): Promise<Line[]> {
  const wanted = ({
    fault,
    backend = 'process',
    quick = false,
  }: {
    fault: string
    backend?: string
    quick?: boolean
  }) => (!options.quick || quick) && (options.only?.test(`${fault} ${backend}`) ?? true)
  const lines: Line[] = []
  const keep = (line: Line) => {
    announce(line)
    lines.push(line)
  }
  for (const one of outages.filter(wanted)) keep(await orWhyNot(one.fault, outage(stage, one, options)))
  for (const one of handovers.filter(wanted)) keep(await orWhyNot(one.fault, handover(stage, one, options)))
  for (const one of changes.filter(wanted)) keep(await orWhyNot(one.fault, changeInAct(stage, one)))
  for (const one of accidents.filter(wanted)) keep(await orWhyNot(one.fault, accident(stage, one)))
  return lines
}

/** A line that could not even be set up falls short by itself: the others go on. */
async function orWhyNot(fault: string, line: Promise<Line>): Promise<Line> {
  return await line.catch((error: unknown) => {
    return { fault, where: '-', end: reasonOf(error), duplicates: 0, verdict: 'SHORT' as const }
  })
}
