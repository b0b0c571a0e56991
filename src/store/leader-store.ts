/** The epoch under which rows may be written: one row a lease, growing with every leader. */
export interface LeaderStore {
  /** Ends every earlier epoch of this lease: their writes are refused from the moment this commits. */
  begin(lease: string, holder: string): Promise<bigint>
  /** The identity of this database's operator: a UUID made by the first migration, the mark on all its instances. */
  instance(): Promise<string>
}
