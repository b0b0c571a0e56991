import type { Cluster } from '../../src/dev/cluster.ts'

/** How many requests the API server was sent that write a status of our kinds, by its own count, whoever sent them. */
export async function statusWritesOf(cluster: Cluster): Promise<number> {
  const text = await cluster.kubectl(['get', '--raw', '/metrics'])
  const counted = text.matchAll(
    /^apiserver_request_total\{(?=.*group="molecule\.dev")(?=.*subresource="status")(?!.*verb="(?:GET|LIST|WATCH)").*\} (\S+)$/gm,
  )
  return [...counted].reduce((sum, [, count]) => sum + Number(count), 0)
}
