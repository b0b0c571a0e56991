/** What an agent finds in its configuration folder beside its own files: `config.yaml` (lifecycle §10.3). Pure. */

export interface AgentConfig {
  readonly name: string
  readonly description: string
  readonly tier: number
  readonly runtime: string
  readonly model: string
  /** Which peers get a task of which category: display names, the first that is free takes it. */
  readonly routing: Readonly<Record<string, readonly string[]>>
  readonly prompts?: Prompts
}

export interface Prompts {
  /** What it is told when it starts for the first time. */
  readonly initial: string
  /** What it is told whenever it has been idle for so many seconds. Blank: nothing. */
  readonly idle: string
  readonly idleSeconds: number
}

/** Files of an agent that hold what it is told; its runtime looks for that in `config.yaml`. */
const promptFiles = { initial: 'prompts/initial.md', idle: 'prompts/idle.md' }

export function promptsAmong(
  files: readonly { readonly path: string; readonly content: string | Uint8Array }[],
  idleSeconds: number,
): Prompts {
  const text = (path: string) => {
    const content = files.find((file) => file.path === path)?.content ?? ''
    return (typeof content === 'string' ? content : Buffer.from(content).toString()).trim()
  }
  return { initial: text(promptFiles.initial), idle: text(promptFiles.idle), idleSeconds }
}

/** One line, double-quoted: YAML's double quotes are JSON's, but for two separators that JSON leaves bare. */
const quoted = (text: string) => JSON.stringify(text.replaceAll(/\s*[\r\n\u0085\u2028\u2029]+\s*/g, ' ').trim())

/** Of many lines, still in one pair of quotes: what is between them is escaped, and cannot end what is around it. */
const told = (text: string) =>
  JSON.stringify(text).replaceAll(
    /[\u007f-\u009f\u2028\u2029\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

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
  const { initial = '', idle = '', idleSeconds = 0 } = agent.prompts ?? {}
  if (initial !== '') lines.push(`initial_prompt: ${told(initial)}`)
  if (idle !== '') lines.push(`idle_interval_seconds: ${idleSeconds}`, `idle_prompt: ${told(idle)}`)
  return `${lines.join('\n')}\n`
}
