/** A kind as a CustomResourceDefinition, as the API server takes it (apiextensions.k8s.io/v1). */
import type { KindDefinition } from './kind.ts'
import { group, version } from './meta.ts'
import { unseen } from './status.ts'
import { schemaOf, type StructuralSchema } from './structural.ts'

const standard = {
  apiVersion: 'The version of this schema.',
  kind: 'The kind of this object.',
}

function rootSchema(kind: KindDefinition): StructuralSchema {
  const name: StructuralSchema = { description: 'Its name.', type: 'string', maxLength: kind.nameLength }
  return {
    description: kind.description,
    type: 'object',
    ...(kind.rootRules.length > 0 && { 'x-kubernetes-validations': kind.rootRules }),
    required: ['spec'],
    properties: {
      apiVersion: { description: standard.apiVersion, type: 'string' },
      kind: { description: standard.kind, type: 'string' },
      metadata: { type: 'object', properties: { name } },
      spec: {
        ...schemaOf(kind.spec, `${kind.kind}.spec`),
        description: 'What should be. Written by people and Git alone.',
      },
      status: {
        ...schemaOf(kind.status, `${kind.kind}.status`),
        description: 'What is. Written by the operator alone.',
        default: unseen,
      },
    },
  }
}

/** The whole CRD of a kind, as a plain object for YAML or a POST. */
export function crdOf(kind: KindDefinition) {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${kind.plural}.${group}` },
    spec: {
      group,
      scope: kind.namespaced ? 'Namespaced' : 'Cluster',
      names: {
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        singular: kind.singular,
        shortNames: kind.shortNames,
        categories: ['molecule'],
      },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: kind.columns,
          schema: { openAPIV3Schema: rootSchema(kind) },
        },
      ],
    },
  }
}
