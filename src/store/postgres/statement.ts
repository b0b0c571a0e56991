/** A batch as one statement: its items become the rows of `unnest`, and every item gets exactly one row back. */
import type { QueryResultRow } from 'pg'
import { Fenced } from '../../errors.ts'
import type { Fence } from '../../fence.ts'
import type { Metrics } from '../../telemetry/metrics.ts'
import { createBatcher, type Batcher } from './batcher.ts'
import type { Database } from './pool.ts'
import { quoted } from './quoted.ts'

type Value = string | number | bigint | boolean | Date | Buffer | undefined

/** One column of the input: its name in SQL, its type, and where an item has it. Undefined is NULL. */
export type Column<Item> = readonly [name: string, type: string, value: (item: Item) => Value]

/** What every result row carries: the position of its item, from 1. */
export interface Answer extends QueryResultRow {
  ord: number
}

/** A statement over many items. */
export interface Statement<Item, Row extends Answer, Result> {
  readonly name: string
  readonly columns: readonly Column<Item>[]
  /** Reads the rows of `input` (the columns and `ord`), and returns one row for each. */
  readonly sql: string
  readonly key: (item: Item) => string
  /** Milliseconds that an item may wait for company; without it, as the batcher sees fit. */
  readonly pause?: number
  /** Each item has a statement of its own, in which its values travel as they are: for those that are large. */
  readonly alone?: true
  /** Undefined when the statement gave no row for the item. An Error rejects this caller alone. */
  readonly result: (row: Row | undefined, item: Item) => Result | Error
}

/** A write that only the leader may do. */
interface Fenceable<Item> {
  readonly item: Item
  readonly fence: Fence
}

/** An item as it travels: made once, for its weight and for each try. */
interface Sendable<Item> {
  readonly item: Item
  /** Of its columns, in their order. */
  readonly literals: readonly string[]
  readonly bytes: number
}

function sendable<Item>(columns: readonly Column<Item>[], item: Item): Sendable<Item> {
  const literals = columns.map(([, , value]) => literal(value(item)))
  return { item, literals, bytes: Buffer.byteLength(literals.join('')) }
}

/** Each column as PostgreSQL's array literal. */
function arraysOf<Item>(columns: readonly Column<Item>[], items: readonly Sendable<Item>[]): string[] {
  return columns.map((_, at) => `{${items.map(({ literals }) => literals[at]).join(',')}}`)
}

/** Everything but numbers is quoted, since it may be foreign. */
function literal(value: Value): string {
  switch (typeof value) {
    case 'undefined':
      return 'NULL'
    case 'number':
    case 'bigint':
      return String(value)
    case 'boolean':
      return value ? 't' : 'f'
    case 'string':
      return quoted(value)
    default:
      return value instanceof Date ? `"${value.toISOString()}"` : String.raw`"\\x${value.toString('hex')}"`
  }
}

/** A single item, by the same names and types as `inputOf`. */
function loneInput<Item>(columns: readonly Column<Item>[]): string {
  return `(VALUES (${columns.map(([, type], index) => `$${index + 1}::${type}`).join(', ')}, 1::bigint))
    AS u(${columns.map(([name]) => name).join(', ')}, ord)`
}

function inputOf<Item>(columns: readonly Column<Item>[], from: number): string {
  const arrays = columns.map(([, type], index) => `$${index + from}::${type}[]`).join(', ')
  const names = columns.map(([name]) => name).join(', ')
  return `unnest(${arrays}) WITH ORDINALITY AS u(${names}, ord)`
}

/** Batches a statement that any replica may send. */
export function batched<Item, Row extends Answer, Result>(
  database: Database,
  metrics: Metrics,
  statement: Statement<Item, Row, Result>,
): Batcher<Item, Result> {
  const { name, columns, sql, key, result, pause, alone } = statement
  const text = (input: string) => `WITH RECURSIVE input AS MATERIALIZED (SELECT u.* FROM ${input})${sql}`
  const paced = { name, metrics, ...(pause !== undefined && { pause }) }
  if (alone) {
    const single = text(loneInput(columns))
    const values = (item: Item) => columns.map(([, , value]) => value(item) ?? null)
    return createBatcher<Item, Result>({
      ...paced,
      key,
      maxRows: 1,
      write: async ([item]) => {
        if (item === undefined) return []
        const [row] = await database.query<Row>(name, single, values(item))
        return [result(row, item)]
      },
    })
  }
  const many = text(inputOf(columns, 1))
  const batcher = createBatcher<Sendable<Item>, Result>({
    ...paced,
    key: ({ item }) => key(item),
    weigh: ({ bytes }) => bytes,
    write: async (items) => pair(items, await database.query<Row>(name, many, arraysOf(columns, items)), result),
  })
  return { add: (item, haste) => batcher.add(sendable(columns, item), haste), close: () => batcher.close() }
}

/**
 * Batches a statement that only the leader of this lease may send. Two checks: by our own clock when it leaves, and by
 * the epoch in the database, whose row stays locked until the statement is through, so that the next leader's epoch
 * begins either before it (nothing is written) or after it.
 */
export function fenced<Item, Row extends Answer, Result>(
  database: Database,
  metrics: Metrics,
  lease: string,
  statement: Statement<Item, Row, Result>,
): Batcher<Fenceable<Item>, Result> {
  const { name, columns, sql, key, result } = statement
  const text = `
    WITH RECURSIVE fence AS MATERIALIZED (
      SELECT epoch FROM leaders WHERE lease = $1 AND epoch = $2::bigint FOR SHARE
    ),
    input AS MATERIALIZED (SELECT u.*, fence.epoch FROM fence, ${inputOf(columns, 3)})${sql}`
  const batcher = createBatcher<Sendable<Item> & { readonly fence: Fence }, Result>({
    name,
    metrics,
    key: ({ item }) => key(item),
    weigh: ({ bytes }) => bytes,
    async write(batch) {
      const epoch = batch.reduce((newest, { fence }) => (fence.epoch > newest ? fence.epoch : newest), 0n)
      const guard = () => {
        for (const { fence } of batch) fence.check()
        if (batch.some(({ fence }) => fence.epoch !== epoch))
          throw new Fenced(`${name}: an earlier epoch of this process`)
      }
      const rows = await database.query<Row>(name, text, [lease, String(epoch), ...arraysOf(columns, batch)], guard)
      if (rows.length === 0) throw new Fenced(`${name}: epoch ${epoch} of lease ${lease} is over`)
      return pair(batch, rows, result)
    },
  })
  return {
    add: ({ item, fence }, haste) => batcher.add({ ...sendable(columns, item), fence }, haste),
    close: () => batcher.close(),
  }
}

function pair<Item, Row extends Answer, Result>(
  items: readonly Sendable<Item>[],
  rows: readonly Row[],
  result: (row: Row | undefined, item: Item) => Result | Error,
): (Result | Error)[] {
  const byPosition = new Map(rows.map((row) => [row.ord, row]))
  return items.map(({ item }, index) => result(byPosition.get(index + 1), item))
}
