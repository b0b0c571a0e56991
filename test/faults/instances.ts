/** What runs, as it is found from outside the operator: in the process table, or by asking the engine. */

export interface Instances {
  readonly backend: 'process' | 'docker'
  /** Settings of an operator that uses this backend. */
  readonly settings: Readonly<Record<string, string>>
  /** Ids (pids, containers) of what exists now, by uid. */
  live(): Promise<ReadonlyMap<string, readonly string[]>>
  /** How many were ever made, by uid: counted where they are made, not where the operator says so. */
  creates(): ReadonlyMap<string, number>
  /** Counts on after what makes them was away. */
  follow(): Promise<void>
  /** Ends one from outside, as an accident would. */
  kill(id: string): Promise<void>
  /** Takes away all that one workspace has, as if it had never been: for what the operator gave up. */
  discard(uid: string): Promise<void>
  /** The reference of an image that does the same as the given one under another name. */
  another(image: string): Promise<string>
  /** Starts an instance that no operator made; gives its id. Only where instances can be adopted. */
  stranger(): Promise<string>
  /** Everything that still belongs to a workspace: containers, volumes, processes, folders. */
  leftovers(): Promise<readonly string[]>
  /** Takes all of it away, whoever made it, and what this operator instance made for all of them. */
  close(operatorInstance: string): Promise<void>
}
