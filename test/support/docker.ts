import Docker from 'dockerode'

/** Whether a Docker engine answers. What is skipped for want of one is named by the summary. */
export async function dockerAvailable(): Promise<boolean> {
  try {
    await new Docker({ timeout: 5_000 }).ping()
    return true
  } catch {
    return false
  }
}
