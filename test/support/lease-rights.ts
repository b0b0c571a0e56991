/** Lets the operator hold leases of any name in a namespace: manifests/rbac grants the one of molecule-system alone. */
export function leaseRights(namespace: string): object[] {
  const metadata = { name: 'leases', namespace }
  const group = 'rbac.authorization.k8s.io'
  const rules = [{ apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get', 'create', 'update'] }]
  return [
    { apiVersion: `${group}/v1`, kind: 'Role', metadata, rules },
    {
      apiVersion: `${group}/v1`,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: group, kind: 'Role', name: 'leases' },
      subjects: [{ kind: 'ServiceAccount', name: 'molecule-operator', namespace: 'molecule-system' }],
    },
  ]
}
