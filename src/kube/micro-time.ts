/** metav1.MicroTime: six digits, or the API server refuses it. */
export const microTime = (time: Date): string => time.toISOString().replace('Z', '000Z')
