/** Finds the variables that a template asks for in what `spec.env.from` names. Pure: looks into caches. */
import type { OrgImport } from '../../api/org-import.ts'
import { preflight, type EnvNeeds } from '../../orgs/env.ts'
import { openNamespace, type DataKind, type References } from '../references.ts'
import type { Obstacle } from './obstacle.ts'

export interface VariableRef {
  readonly kind: DataKind
  readonly name: string
  readonly key: string
}

export interface Environment {
  /** Where each variable that was asked for and has a value comes from, by name. */
  readonly variables: ReadonlyMap<string, VariableRef>
  readonly missingRecommended: readonly string[]
}

export interface Lacking extends Obstacle {
  readonly missing: readonly string[]
}

/** Values are looked at only for being there: nothing of them leaves this function. */
export function findEnvironment(
  { spec, metadata }: OrgImport,
  needs: EnvNeeds,
  references: References,
): Environment | Lacking {
  if (needs.required.length + needs.recommended.length === 0) return { variables: new Map(), missingRecommended: [] }
  const available = new Map<string, VariableRef>()
  const namespace = metadata.namespace ?? ''
  for (const { prefix = '', secretRef, configMapRef } of spec.env?.from ?? []) {
    const kind = secretRef ? 'Secret' : 'ConfigMap'
    const name = secretRef?.name ?? configMapRef?.name ?? ''
    const seen = references.look(kind, namespace, name)
    switch (seen.state) {
      case 'found':
        for (const key of seen.keys)
          if ((seen.value(key)?.length ?? 0) > 0) available.set(`${prefix}${key}`, { kind, name, key })
        break
      case 'missing':
        return lacking(
          `${kind}Missing`,
          `spec.env.from names ${kind} "${name}", which does not exist in namespace ${namespace}: create it`,
        )
      case 'forbidden':
        return lacking(`${kind}Forbidden`, openNamespace(kind, namespace))
      case 'syncing':
        return { ...lacking('Progressing', `the ${kind}s of namespace ${namespace} are being listed`), waits: true }
    }
  }
  const { missing, missingRecommended, found } = preflight(needs, new Set(available.keys()))
  if (missing.length > 0) {
    const message = `required variables are missing: ${missing.join('; ')}: give each in a Secret that spec.env.from names`
    return { ...lacking('RequiredEnvMissing', message), missing }
  }
  const variables = new Map(
    found.flatMap((name): [string, VariableRef][] => {
      const ref = available.get(name)
      return ref === undefined ? [] : [[name, ref]]
    }),
  )
  return { variables, missingRecommended }
}

const lacking = (reason: Obstacle['reason'], message: string): Lacking => ({
  condition: 'EnvironmentReady',
  reason,
  message,
  waits: false,
  missing: [],
})
