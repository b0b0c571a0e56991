/** Where an org template comes from, as an OrgImport says it. */
import { z } from 'zod'
import * as f from './fields.ts'

const keep = { 'x-kubernetes-preserve-unknown-fields': true }
const asGiven = (description: string) => z.looseObject({}).meta({ ...keep, description })
const requirement = z.unknown().meta({ ...keep, description: 'A variable name, or any_of with a list of names.' })

/**
 * The first level of org.yaml. What is below recurs, which no CRD can describe: it is kept as given here and checked
 * whole by `orgTemplate` (org-template.ts) when it is read.
 */
export const inlineOrg = z
  .object({
    name: f.line(255, 1).meta({ description: 'Name of the organisation.' }),
    description: f.text(10_000).meta({ description: 'What it is for.' }).exactOptional(),
    template_schema_version: z.int().min(0).max(1000).meta({ description: 'Not read.' }).exactOptional(),
    defaults: asGiven(
      'Values for all workspaces that do not say otherwise: runtime, model, tier, prompts.',
    ).exactOptional(),
    workspaces: f
      .atomic(asGiven('A node: name, role, runtime, model, tier, prompts, children.'), 512, 'The roots of the tree.')
      .exactOptional(),
    global_memories: f
      .atomic(asGiven('A memory: content and scope.'), 64, 'What the whole organisation knows from the start.')
      .exactOptional(),
    required_env: f.atomic(requirement, 128, 'Variables without which nothing is created.').exactOptional(),
    recommended_env: f.atomic(requirement, 128, 'Variables that should be there.').exactOptional(),
  })
  .meta({ description: 'The template itself, with the keys of org.yaml. No !include and no files.' })

const ref = f.ruled(
  z.object({
    branch: f.line(255, 1).meta({ description: 'A branch: follows its head.' }).exactOptional(),
    tag: f.line(255, 1).meta({ description: 'A tag.' }).exactOptional(),
    semver: f.line(255, 1).meta({ description: 'The newest tag in this range: ">=1.2.0 <2".' }).exactOptional(),
    commit: f.matching('^[0-9a-f]{40}$', 40).meta({ description: 'A commit, by its full id.' }).exactOptional(),
  }),
  f.exactlyOne('branch', 'tag', 'semver', 'commit'),
)

/** A folder in the repository, never out of it. */
const folder = f.ruled(f.line(1024, 1), {
  cel: String.raw`!self.startsWith('/') && !self.matches(r'(^|/)[.][.](/|$)')`,
  message: 'must be a path inside the repository: relative, without ".." parts',
  holds: (path) => !path.startsWith('/') && !/(^|\/)\.\.(\/|$)/.test(path),
})

const verify = z.object({
  secretRef: f.dataRef('Secret').meta({
    description:
      'A Secret whose every value lists SSH public keys, one a line. A commit signed by none of them is refused.',
  }),
})

export const git = z
  .object({
    url: f
      .ruled(f.line(2048, 1), {
        cel: "self.matches('^https?://[^/?#@]+(/.*)?$')",
        message: 'must begin with https:// and carry no user name or password: give those by secretRef',
        holds: (url) => /^https?:\/\/[^/?#@]+(\/.*)?$/.test(url),
      })
      .meta({
        description:
          'The repository: https://git.example/org/template. Plain http only for hosts that the operator is configured to trust.',
      }),
    ref: ref.meta({ description: 'What to take. Absent: the default branch.' }).exactOptional(),
    path: folder.meta({ description: 'The folder that holds org.yaml. Absent: the top.' }).exactOptional(),
    secretRef: f
      .dataRef('Secret')
      .meta({ description: 'A Secret with username and password, or with bearerToken.' })
      .exactOptional(),
    credentialsFor: f
      .atomic(
        f.matching('^https://[a-z0-9]([-a-z0-9.]*[a-z0-9])?(:[0-9]{1,5})?(/[A-Za-z0-9_][-A-Za-z0-9_.]*)*/?$', 512, 1),
        16,
        'Where else the credentials of secretRef may go: repositories that the template refers to by !external, or folders of them, as https://git.example/acme. Absent: to url alone.',
      )
      .exactOptional(),
    verify: verify.meta({ description: 'Whose signature the commit must carry.' }).exactOptional(),
    interval: f.duration().default('10m').meta({ description: 'How often to look for something newer.' }),
  })
  .meta({ description: 'A Git repository.' })

export const sourceRef = z
  .object({
    kind: z.enum(['GitRepository', 'OCIRepository']).meta({ description: 'The kind of Flux source.' }),
    name: f.objectName().meta({ description: 'Its metadata.name, in the same namespace.' }),
    path: folder.meta({ description: 'The folder that holds org.yaml. Absent: the top.' }).exactOptional(),
  })
  .meta({ description: 'A source that Flux keeps.' })
