/** The Kubernetes that development and tests run against; go.mod beside this file builds the same. */
export const kubernetesVersion = 'v1.36.3'
export const kubernetesSeries = '1.36'

/** What a control plane of ours runs. The controller-manager is there only where it was asked for. */
export interface Binaries {
  readonly etcd: string
  readonly apiServer: string
  readonly kubectl: string
  readonly controllerManager: string | undefined
}

const binaryNames = ['etcd', 'kube-apiserver', 'kubectl', 'kube-controller-manager'] as const
export type BinaryName = (typeof binaryNames)[number]
export const neededNames: readonly BinaryName[] = ['etcd', 'kube-apiserver', 'kubectl']
