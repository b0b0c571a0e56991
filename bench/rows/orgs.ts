/** Row 15: from the files of a template to its nodes, in this process and on one core, beside the YAML parser alone. */
import { parseAllDocuments } from 'yaml'
import { renderOrg } from '../../src/orgs/tree.ts'
import { figure, type Figure } from '../figure.ts'
import { devTeamOrg, type Files, wideOrg } from '../generated-org.ts'
import type { Bench } from '../rig.ts'
import { spread } from '../rounds.ts'

const rounds = 9

// oxlint-disable-next-line require-await -- a family of rows like the others
export async function orgRows(bench: Bench): Promise<Figure[]> {
  if (!bench.options.rows.has(15)) return []
  return [...rowsOf(bench, devTeamOrg(), 150), ...rowsOf(bench, wideOrg(2000), 2000)]
}

function rowsOf(bench: Bench, files: Files, most: number): Figure[] {
  const yaml = [...files].flatMap(([path, text]) => (path.endsWith('.yaml') ? [text] : []))
  // The first one is of cold code, as after a start of the operator.
  const [first, nodes] = timed(() => render(files))
  const pairs = Array.from({ length: rounds }, () => ({
    bound: timed(() => yaml.forEach((text) => parseAllDocuments(text)))[0],
    value: timed(() => render(files))[0],
  }))
  const values = spread(pairs.map(({ value }) => value))
  const bound = spread(pairs.map((pair) => pair.bound)).median
  const what = `a template of ${nodes} nodes in ${yaml.length} files`
  bench.report(`row 15: ${what}`)
  const row = (measure: string, value: number, note: string, more: Partial<Parameters<typeof figure>[0]> = {}) =>
    figure({ row: 15, measure, value, unit: 'ms', bound, goal: { of: 'value', most }, note, ...more })
  return [
    row(`${what}, the first time`, first, 'cold code'),
    row(`${what}, again`, values.median, `median of ${rounds}; bound: the YAML parser alone`, { spread: values }),
  ]
}

const render = (files: Files) =>
  renderOrg({ kind: 'files', files, entry: 'org.yaml' }, { importUid: '00000000-0000-4000-8000-000000000000' }).nodes
    .length

function timed<T>(act: () => T): [number, T] {
  const began = performance.now()
  const result = act()
  return [performance.now() - began, result]
}
