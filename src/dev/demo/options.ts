import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { reasonOf } from '../../errors.ts'

export interface DemoOptions {
  /** Folder of the org template: org.yaml and the files it names. */
  readonly org: string
  /** What the template asks of the environment. */
  readonly env: ReadonlyMap<string, string>
  /** Ends by itself once all is Ready. */
  readonly once: boolean
  /** Undefined: a control plane of our own. */
  readonly existing: { readonly context: string | undefined } | undefined
}

export const usage = `npm run demo -- [PATH] [--env NAME=VALUE]… [--once] [--context NAME]

  PATH               folder of an org template (org.yaml and its files); examples/org when not given
  --env NAME=VALUE   a variable that the template asks for; may be repeated
  --once             end when every agent is Ready, at most five minutes after the control plane is up
  --context NAME     use this context of your kubeconfig instead of a control plane of our own
                     (USE_EXISTING_CLUSTER=true: its current context)

  DATABASE_URL       use this PostgreSQL instead of one of our own
  KUBEBUILDER_ASSETS folder of etcd, kube-apiserver and kubectl
`

/** Undefined when help is asked for. Throws what is wrong with the arguments. */
export function readOptions(args: string[], env: NodeJS.ProcessEnv): DemoOptions | undefined {
  const { values, positionals } = parsed(args)
  if (values.help) return undefined
  if (positionals.length > 1) throw new Error(`one org template at a time: ${positionals.join(', ')}`)
  const existing = values.context !== undefined || env['USE_EXISTING_CLUSTER']?.toLowerCase() === 'true'
  return {
    org: resolve(positionals[0] ?? 'examples/org'),
    env: new Map(values.env.map(splitVariable)),
    once: values.once,
    existing: existing ? { context: values.context } : undefined,
  }
}

function parsed(args: string[]) {
  let fault: string
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        context: { type: 'string' },
        env: { type: 'string', multiple: true, default: [] },
        once: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
  } catch (error) {
    // Only as far as the name: what follows may be a secret.
    const [, name = 'an argument'] = /'(?:-\w, )?(-[^'=\s]*)/.exec(reasonOf(error)) ?? []
    const unknown = error instanceof Error && 'code' in error && error.code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION'
    if (unknown) fault = `there is no option ${name}`
    else fault = takesValue.has(name) ? `${name} needs a value` : `${name} takes no value`
  }
  throw new Error(`${fault}: see --help`)
}

const takesValue = new Set(['--context', '--env'])

function splitVariable(text: string): [string, string] {
  const at = text.indexOf('=')
  // Only the name is repeated: the value may be a secret.
  if (at < 1) throw new Error('--env takes NAME=VALUE')
  return [text.slice(0, at), text.slice(at + 1)]
}
