/** An org template of this machine, and the objects by which a cluster learns of it. */
import { readdir, readFile } from 'node:fs/promises'
import { basename, join, relative, sep } from 'node:path'
import { apiVersion } from '../../api/meta.ts'
import { reasonOf } from '../../errors.ts'
import { preflight } from '../../orgs/env.ts'
import { OrgError } from '../../orgs/org-error.ts'
import { encodePath } from '../../orgs/source-path.ts'
import { renderOrg, type RenderedOrg } from '../../orgs/tree.ts'

export interface OrgFolder {
  /** For people. */
  readonly title: string
  /** metadata.name of all that is made of it. */
  readonly name: string
  /** Paths below the folder, with forward slashes, to texts. */
  readonly files: ReadonlyMap<string, string>
  readonly agents: number
  readonly runtimes: readonly string[]
}

const entry = 'org.yaml'
/** A ConfigMap holds a mebibyte. */
const largest = 900_000

/**
 * Reads the folder as the operator will, so that a mistake in it, or a variable that is missing, costs a second and not
 * a start of everything. Throws for people.
 */
export async function readOrg(folder: string, env: ReadonlyMap<string, string>): Promise<OrgFolder> {
  const files = await textsBelow(folder)
  if (!files.has(entry)) throw new Error(`there is no ${entry} in ${folder}`)
  const bytes = [...files.values()].reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  if (bytes > largest) throw new Error(`${folder} holds ${String(bytes)} bytes; a ConfigMap takes ${String(largest)}`)
  const rendered = render(files)
  const { missing } = preflight(
    rendered.env,
    new Set([...env].filter(([, value]) => value !== '').map(([name]) => name)),
  )
  if (missing.length > 0) throw new Error(`the template needs ${missing.join(', and ')}: give it with --env NAME=VALUE`)
  const title = rendered.name ?? basename(folder)
  const name =
    title
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .slice(0, 40)
      .replaceAll(/^-+|-+$/g, '') || 'org'
  const runtimes = new Set(rendered.nodes.map(({ spec }) => spec.runtime).filter((runtime) => runtime !== undefined))
  return { title, name, files, agents: rendered.nodes.length, runtimes: [...runtimes] }
}

function render(files: ReadonlyMap<string, string>): RenderedOrg {
  // Any host will do: nothing is read from it.
  const source = { kind: 'files', files, entry, hosts: { home: 'https://git.example' } } as const
  try {
    return renderOrg(source, { importUid: '00000000-0000-4000-8000-000000000000' })
  } catch (error) {
    if (!(error instanceof OrgError) || error.code !== 'ExternalMissing') throw error
    const at = /^\S+: /.exec(error.message)?.[0] ?? ''
    throw new Error(
      `${at}!external names another repository, and a demo reads its folder alone: write out there what it refers to`,
      { cause: error },
    )
  }
}

async function textsBelow(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((cause: unknown) => {
    throw new Error(`${folder} cannot be read: ${reasonOf(cause)}`)
  })
  const files = new Map<string, string>()
  for (const found of entries) {
    const full = join(found.parentPath, found.name)
    const path = relative(folder, full).split(sep).join('/')
    const hidden = path.split('/').some((part) => part.startsWith('.') || part === 'node_modules')
    if (found.isFile() && !hidden) files.set(path, await readFile(full, 'utf8'))
  }
  return files
}

/** The Runtimes that the org names, all on one image; one of them for agents that name none. */
export function runtimeObjects(org: OrgFolder, image: string): object[] {
  const names = org.runtimes.length > 0 ? org.runtimes : ['demo']
  return names.map((name, i) => ({
    apiVersion,
    kind: 'Runtime',
    metadata: { name },
    spec: { image, default: i === 0, bootDeadline: '2m' },
  }))
}

/** The namespace, opened to the operator, and the org in it. */
export function orgObjects(org: OrgFolder, namespace: string, env: ReadonlyMap<string, string>): object[] {
  const metadata = { name: org.name, namespace }
  const data = Object.fromEntries([...org.files].map(([path, text]) => [encodePath(path), text]))
  const secret = { apiVersion: 'v1', kind: 'Secret', metadata, stringData: Object.fromEntries(env) }
  return [
    ...['molecule-references', 'molecule-generated-files'].map((role) => opening(role, namespace)),
    { apiVersion: 'v1', kind: 'ConfigMap', metadata, data },
    ...(env.size > 0 ? [secret] : []),
    {
      apiVersion,
      kind: 'OrgImport',
      metadata,
      spec: {
        source: { configMapRef: { name: org.name, key: entry } },
        ...(env.size > 0 && { env: { from: [{ secretRef: { name: org.name } }] } }),
      },
    },
  ]
}

const opening = (role: string, namespace: string) => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind: 'RoleBinding',
  metadata: { name: role, namespace },
  roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: role },
  subjects: [{ kind: 'ServiceAccount', name: 'molecule-operator', namespace: 'molecule-system' }],
})
