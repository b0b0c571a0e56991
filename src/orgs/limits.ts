/** What a template may grow to. Beyond, it is refused whole, with the limit in the message. */
export const limits = {
  /** Files below org.yaml that one value may come through. */
  includeDepth: 16,
  /** Includes in all: a file that includes another twice, which includes another twice, soon is a million. */
  includes: 10_000,
  /** YAML values after all includes and aliases are written out. */
  values: 500_000,
  /** Characters of all files parsed, each counted once. */
  characters: 16 * 1024 * 1024,
  /** Maps and lists inside one another, in one file. */
  nesting: 200,
  nodes: 4096,
  /** Levels of the tree. */
  levels: 32,
  /** Bytes of the generated files of one node: one ConfigMap has to hold them. */
  nodeBytes: 900 * 1024,
} as const
