/** Outages and changes of leader, one after the other, each on a control plane of its own. */
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
  for (const fault of outages.filter(wanted)) keep(await outage(stage, fault, options))
  for (const change of handovers.filter(wanted)) keep(await handover(stage, change, options))
  return lines
}
