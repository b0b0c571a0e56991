import { describe, expect, it } from 'vitest'
import { maxDepth } from './body.ts'
import { rpcRequest } from './json-rpc.ts'

describe('a JSON-RPC request', () => {
  it('is filled in where a caller left it short', () => {
    const filled = rpcRequest({ method: 'message/send', params: { message: { role: 'user' } } })
    expect(filled).toEqual({
      jsonrpc: '2.0',
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      method: 'message/send',
      params: { message: { role: 'user' } },
    })
  })
  it.each([0, 7, 'seven', null])('keeps the id %j', (id) => {
    expect(rpcRequest({ id, method: 'm' }).id).toBe(id)
  })
  it('keeps fields it does not know', () => {
    expect(rpcRequest({ method: 'm', extension: { a: [1] } })).toMatchObject({ extension: { a: [1] } })
  })

  it.each([
    [null, 'not a JSON object'],
    ['text', 'not a JSON object'],
    [[{ method: 'm' }], 'not a JSON object'],
    [{}, 'method'],
    [{ method: '' }, 'method'],
    [{ method: 7 }, 'method'],
    [{ method: 'm', jsonrpc: '1.0' }, 'jsonrpc'],
    [{ method: 'm', id: {} }, 'id'],
    [{ method: 'm', params: 'text' }, 'params'],
  ])('is not %j', (body, message) => {
    expect(() => rpcRequest(body)).toThrow(message)
  })

  it('is not nested without end', () => {
    const nested = (depth: number): unknown => JSON.parse(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`)
    expect(() => rpcRequest({ method: 'm', params: nested(maxDepth - 1) })).not.toThrow()
    expect(() => rpcRequest({ method: 'm', params: nested(maxDepth) })).toThrow('nested deeper')
    expect(() => rpcRequest({ method: 'm', params: nested(20_000) })).toThrow('nested deeper')
  })
  it('carries nothing that jsonb cannot hold', () => {
    const { params } = rpcRequest({ method: 'm', params: { 'a\0': ['x\0y', '\ud800'] } })
    expect(params).toEqual({ a: ['xy', '\ufffd'] })
  })
})
