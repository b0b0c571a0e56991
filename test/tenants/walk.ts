/** What one tenant may try against another, as data. Pure. */
import * as fc from 'fast-check'

/** Something that a field, a label or a path may name: of the neighbour, one of its own, or nothing that exists. */
export type Ref =
  | { readonly to: 'theirs'; readonly at: number }
  | { readonly to: 'own'; readonly slot: number }
  | { readonly to: 'nothing' }

/** Some are named as those of the neighbour are: a key without a namespace would mix them up. */
export const names = ['a0', 'a1', 'a2', 'lead', 'inbox', 'canary'] as const
export const theirNames = ['lead', 'worker', 'inbox', 'canary', 'kept', 'gone', 'org'] as const
export const imports = ['i0', 'org'] as const

export interface Wish {
  /** The name of a Workspace above it, its own or the neighbour's. */
  readonly parent?: string
  readonly adopt?: {
    readonly what: 'row' | 'container'
    readonly ref: Ref
    readonly policy: 'AdoptOnly' | 'AdoptOrCreate'
  }
  readonly power?: 'Running' | 'Paused'
  readonly runtime?: 'shared' | 'nosuch'
  readonly ring?: 'production' | 'canary'
  /** Its agent never registers. */
  readonly broken?: boolean
  readonly poll?: boolean
  readonly external?: boolean
  readonly retain?: boolean
  readonly cascade?: boolean
  /** Names a Secret and a ConfigMap as those of the neighbour are named. */
  readonly borrows?: boolean
  /** Labels, annotations and an owner reference that name this. */
  readonly claims?: Ref
}

export interface Forgery {
  readonly row?: Ref
  readonly phase?: string
  readonly ready?: 'True' | 'False'
  readonly runtime?: boolean
  readonly instance?: Ref
  readonly power?: 'Running' | 'Paused' | 'Hibernated'
}

export const calls = [
  'register',
  'heartbeat',
  'update-card',
  'a2a',
  'take',
  'ack',
  'state',
  'connection',
  'rotate',
  'tokens',
] as const

export type Step =
  | { readonly kind: 'create' | 'edit'; readonly slot: number; readonly wish: Wish }
  | { readonly kind: 'forge'; readonly slot: number; readonly forgery: Forgery }
  | { readonly kind: 'mark'; readonly slot: number; readonly claims: Ref }
  | { readonly kind: 'delete'; readonly slot: number }
  | { readonly kind: 'hold'; readonly slot: number; readonly finalizers: 'more' | 'none' }
  | {
      readonly kind: 'import'
      readonly at: number
      readonly parent?: string
      readonly nodes: number
      readonly broken: boolean
      readonly claims?: Ref
    }
  | { readonly kind: 'forge-import' | 'delete-import'; readonly at: number }
  | { readonly kind: 'install'; readonly all: boolean }
  | { readonly kind: 'data'; readonly claims: Ref }
  | {
      readonly kind: 'call'
      readonly slot: number
      readonly call: (typeof calls)[number]
      readonly ref: Ref
      readonly token: 'own' | 'wrong' | 'none'
    }
  /** Milliseconds in which the operator comes to act on what was done. */
  | { readonly kind: 'pause'; readonly ms: number }

const slot = fc.nat(names.length - 1)
const theirs: fc.Arbitrary<Ref> = fc.record({ to: fc.constant('theirs'), at: fc.nat(15) })
const ref: fc.Arbitrary<Ref> = fc.oneof(
  { weight: 6, arbitrary: theirs },
  { weight: 1, arbitrary: fc.record({ to: fc.constant('own'), slot }) },
  { weight: 1, arbitrary: fc.constant({ to: 'nothing' } as const) },
)
const above = fc.constantFrom(...names, ...theirNames)
const adopt = fc.record({
  what: fc.constantFrom('row', 'row', 'container'),
  ref,
  policy: fc.constantFrom('AdoptOnly', 'AdoptOrCreate'),
})
const any = { requiredKeys: [] as never[] }

const edited = {
  parent: above,
  power: fc.constantFrom('Running', 'Paused'),
  runtime: fc.constantFrom('shared', 'shared', 'nosuch'),
  ring: fc.constantFrom('production', 'canary'),
  broken: fc.boolean(),
  poll: fc.boolean(),
  retain: fc.boolean(),
  cascade: fc.boolean(),
  borrows: fc.boolean(),
} as const
const wish: fc.Arbitrary<Wish> = fc.record({ ...edited, adopt, external: fc.boolean(), claims: ref }, any)
const edit: fc.Arbitrary<Wish> = fc.record(edited, any)
const forgery: fc.Arbitrary<Forgery> = fc.record(
  {
    row: ref,
    phase: fc.constantFrom('online', 'failed', 'paused', 'removed', 'hibernating', 'provisioning'),
    ready: fc.constantFrom('True', 'False'),
    runtime: fc.boolean(),
    instance: ref,
    power: fc.constantFrom('Running', 'Paused', 'Hibernated'),
  },
  any,
)
const pause: fc.Arbitrary<Step> = fc.record({ kind: fc.constant('pause'), ms: fc.constantFrom(20, 200) })

const single: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('create'), slot, wish }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('edit'), slot, wish: edit }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('forge'), slot, forgery }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('mark'), slot, claims: ref }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete'), slot }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('hold'), slot, finalizers: fc.constantFrom('more', 'none') }) },
  {
    weight: 2,
    arbitrary: fc.record(
      {
        kind: fc.constant('import'),
        at: fc.nat(1),
        parent: above,
        nodes: fc.nat(3),
        broken: fc.boolean(),
        claims: ref,
      },
      { requiredKeys: ['kind', 'at', 'nodes', 'broken'] },
    ),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('forge-import', 'delete-import'), at: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('install'), all: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('data'), claims: ref }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('call'),
      slot,
      call: fc.constantFrom(...calls),
      ref,
      token: fc.constantFrom('own', 'own', 'own', 'wrong', 'none'),
    }),
  },
  { weight: 2, arbitrary: pause },
)

/** Attacks that take several steps in their order, which single steps would seldom be drawn in. */
const attack: fc.Arbitrary<Step[]> = fc.oneof(
  // The row of a parent, by a parent that was refused.
  fc.tuple(fc.constantFrom(0, 1), theirs, fc.boolean()).map(([decoy, row, poll]): Step[] => [
    { kind: 'create', slot: decoy, wish: { adopt: { what: 'row', ref: row, policy: 'AdoptOnly' } } },
    { kind: 'create', slot: 2, wish: { parent: names[decoy] ?? '', poll } },
    { kind: 'pause', ms: 200 },
  ]),
  // A pause of what a status says is its row.
  fc.tuple(slot, theirs, fc.boolean()).map(([at, row, known]): Step[] => [
    {
      kind: 'create',
      slot: at,
      wish: { runtime: known ? 'shared' : 'nosuch', adopt: { what: 'row', ref: row, policy: 'AdoptOnly' } },
    },
    { kind: 'pause', ms: 200 },
    { kind: 'forge', slot: at, forgery: { row, phase: 'online' } },
    { kind: 'edit', slot: at, wish: { power: 'Paused' } },
    { kind: 'pause', ms: 200 },
  ]),
  // A row of one's own under an id of one's own choice, then what else has that id.
  fc.tuple(slot, theirs).map(([at, row]): Step[] => [
    {
      kind: 'create',
      slot: at,
      wish: { power: 'Paused', retain: true, adopt: { what: 'row', ref: row, policy: 'AdoptOrCreate' } },
    },
    { kind: 'pause', ms: 200 },
    { kind: 'delete', slot: at },
    { kind: 'pause', ms: 200 },
    { kind: 'create', slot: at, wish: { adopt: { what: 'row', ref: row, policy: 'AdoptOnly' } } },
  ]),
  // Canaries and others that never come up, of the Runtime that both use.
  fc.tuple(slot, slot).map(([one, other]): Step[] => [
    { kind: 'create', slot: one, wish: { broken: true, ring: 'canary' } },
    { kind: 'create', slot: other, wish: { broken: true } },
    { kind: 'import', at: 0, nodes: 3, broken: true },
    { kind: 'pause', ms: 200 },
  ]),
)

/** At least so many steps each. */
export function walks(length: number): fc.Arbitrary<Step[]> {
  const part = fc.oneof({ weight: 12, arbitrary: single.map((step) => [step]) }, { weight: 1, arbitrary: attack })
  const parts = fc.array(part, { minLength: length, maxLength: length, size: 'max' })
  return parts.map((drawn) => drawn.flat())
}
