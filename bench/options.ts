import { parseArgs } from 'node:util'

export const measuredRows = [1, 2, 3, 4, 5, 6, 8, 9, 11, 12, 13, 14, 15] as const
export type Row = (typeof measuredRows)[number]
export type BackendName = 'external' | 'fake'

export interface Options {
  readonly rows: ReadonlySet<Row>
  /** Objects of a burst, edits of a sustained load, objects at a restart. */
  readonly n: number
  /** Objects of the rows about size: idle requests, memory, and a second restart. */
  readonly large: number
  readonly rounds: number
  readonly backends: readonly BackendName[]
  /** The words that start the operator; ours unless another is to be measured. */
  readonly command: readonly string[]
  readonly migrate: readonly string[] | undefined
  /** A folder of CRDs. */
  readonly crds: string
  /** Whether admission gives the finalizer. */
  readonly policy: boolean
  /** Whether it runs with the rights of manifests/rbac alone. Another operator's needs are its own: it is administrator. */
  readonly leastRights: boolean
  readonly json: string | undefined
}

export const usage = `npm run bench -- [options]
  --rows 1,2          rows of docs/performance.md (${measuredRows.join(', ')})
  --n 1000            objects of a burst, edits of a load
  --large 10000       objects of the rows about size (4, 6, and 5 again)
  --rounds 5          interleaved pairs, after one to warm up
  --backends LIST     external,fake
  --operator COMMAND  measure another operator: words, no shell. It gets KUBECONFIG (client certificates, administrator),
                      DATABASE_URL, SECRETS_KEY, LEADER_ELECT, HEALTH_PORT, PLATFORM_PORT, BACKENDS and
                      DEFAULT_BACKEND
  --migrate COMMAND   run this once for each fresh database, where the operator does not migrate by itself
  --crds FOLDER       its CRDs
  --no-policy         leave out the admission policy that gives the finalizer, for the bound as well
  --json FILE         keep the figures
`

/** Throws with one line for people on anything it does not know. */
export function readOptions(argv: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      rows: { type: 'string', default: measuredRows.join(',') },
      n: { type: 'string', default: '1000' },
      large: { type: 'string', default: '10000' },
      rounds: { type: 'string', default: '5' },
      backends: { type: 'string', default: 'external,fake' },
      operator: { type: 'string' },
      migrate: { type: 'string' },
      crds: { type: 'string', default: 'crds' },
      'no-policy': { type: 'boolean', default: false },
      json: { type: 'string' },
    },
  })
  return {
    rows: new Set(values.rows.split(',').map((word) => oneOf(measuredRows, Number(word), '--rows'))),
    n: count(values.n, '--n'),
    large: count(values.large, '--large'),
    rounds: count(values.rounds, '--rounds'),
    backends: values.backends.split(',').map((word) => oneOf(['external', 'fake'] as const, word, '--backends')),
    command: values.operator === undefined ? [process.execPath, 'src/dev/main.ts', 'run'] : words(values.operator),
    migrate: values.migrate === undefined ? undefined : words(values.migrate),
    crds: values.crds,
    policy: !values['no-policy'],
    leastRights: values.operator === undefined,
    json: values.json,
  }
}

const words = (command: string): string[] => command.split(/\s+/).filter((word) => word !== '')

function count(text: string, flag: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new RangeError(`${flag} is a number from 1 to 999999, not "${text}"`)
  return Number(text)
}

function oneOf<T>(known: readonly T[], given: unknown, flag: string): T {
  const found = known.find((item) => item === given)
  if (found === undefined) throw new RangeError(`${flag} takes ${known.join(', ')}, not "${String(given)}"`)
  return found
}
