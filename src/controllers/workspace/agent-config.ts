/** What an agent finds in its configuration folder beside its own files: `config.yaml` (lifecycle §10.3). Pure. */

export interface AgentConfig {
  readonly name: string
  readonly description: string
  readonly tier: number
  readonly runtime: string
  readonly model: string
  /** Which peers get a task of which category: display names, the first that is free takes it. */
  readonly routing: Readonly<Record<string, readonly string[]>>
}

/** One line, double-quoted: YAML's double quotes are JSON's, but for two separators that JSON leaves bare. */
const quoted = (text: string) => JSON.stringify(text.replaceAll(/\s*[\r\n\u0085\u2028\u2029]+\s*/g, ' ').trim())

/** Runtimes whose adapter refuses a `runtime_config` block. */
const withoutRuntimeConfig: ReadonlySet<string> = new Set(['langgraph', 'deepagents'])

/** Never embeds names of required variables or tokens: an expired one was once baked in. */
export function renderAgentConfig(agent: AgentConfig): string {
  const lines = [
    `name: ${quoted(agent.name)}`,
    `description: ${quoted(agent.description)}`,
    'version: 1.0.0',
    `tier: ${agent.tier}`,
    `runtime: ${quoted(agent.runtime)}`,
    `model: ${quoted(agent.model)}`,
  ]
  if (!withoutRuntimeConfig.has(agent.runtime)) lines.push('runtime_config:', '  timeout: 0')
  const routes = Object.entries(agent.routing).sort(([a], [b]) => (a < b ? -1 : 1))
  if (routes.length > 0) lines.push('category_routing:')
  for (const [category, names] of routes) lines.push(`  ${quoted(category)}: [${names.map(quoted).join(', ')}]`)
  return `${lines.join('\n')}\n`
}
