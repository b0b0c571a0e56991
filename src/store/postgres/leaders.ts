import type { LeaderStore } from '../leader-store.ts'
import { surfaced } from './faults.ts'
import type { Database } from './pool.ts'

export function openLeaders(database: Database): LeaderStore {
  async function one<Row extends object>(name: string, text: string, values: readonly unknown[]): Promise<Row> {
    try {
      const [row] = await database.query<Row & Record<string, unknown>>(name, text, values)
      if (!row) throw new Error(`${name}: PostgreSQL gave no row: is the schema migrated?`)
      return row
    } catch (error) {
      throw surfaced(error)
    }
  }
  return {
    // Waits for the statements of the epoch before, which hold the row shared; those that come after find it moved on.
    async begin(lease, holder) {
      const { epoch } = await one<{ epoch: string }>(
        'begin_epoch',
        `INSERT INTO leaders AS l (lease, epoch, holder) VALUES ($1, 1, $2)
         ON CONFLICT (lease) DO UPDATE SET epoch = l.epoch + 1, holder = EXCLUDED.holder, began_at = now()
         RETURNING epoch`,
        [lease, holder],
      )
      return BigInt(epoch)
    },
    async instance() {
      return (await one<{ instance: string }>('instance', 'SELECT instance FROM operator_meta', [])).instance
    },
  }
}
