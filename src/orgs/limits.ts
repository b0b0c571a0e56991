/** What a template may grow to. Beyond, it is refused whole, with the limit in the message. */
export const limits = {
  /** Files of a source, and how long a path may be. */
  files: 20_000,
  pathLength: 1024,
  /** Files below org.yaml that one value may come through. */
  includeDepth: 16,
  /** Includes in all: a file that includes another twice, which includes another twice, soon is a million. */
  includes: 10_000,
  /** Repositories that repositories refer to, and all of them. */
  externalDepth: 4,
  externals: 32,
  /** YAML values after all includes and aliases are written out. */
  values: 500_000,
  /** Characters of all texts after that: one long text behind an alias costs nothing until it is written out. */
  written: 32 * 1024 * 1024,
  /** Characters of all YAML, each file counted once. */
  characters: 4 * 1024 * 1024,
  /** Words, signs and gaps that this YAML consists of: each costs the parser some 400 bytes and a microsecond. */
  tokens: 600_000,
  /** Characters of one line of YAML. */
  line: 1024 * 1024,
  /** Maps and lists inside one another, through all includes. */
  nesting: 200,
  nodes: 5000,
  /** Levels of the tree. */
  levels: 16,
  /** Of the whole tree: each is asked when it comes. */
  schedules: 10_000,
  /** Schedules that cannot run and are left out; beyond, the template as a whole is a mistake. */
  skippedSchedules: 100,
  /** Bytes of the generated files of one node: one ConfigMap has to hold them. */
  nodeBytes: 900 * 1024,
  /** Bytes of what else a node says (schedules, memories): the API server takes one and a half mebibytes. */
  specBytes: 1024 * 1024,
  /** Bytes of all nodes, files included. */
  orgBytes: 128 * 1024 * 1024,
} as const
