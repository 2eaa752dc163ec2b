// Sends 1,000 events with the unmodified SDK and exits 0 when it reports no error.
// Arguments: host, write key.
const { Analytics } = require('@segment/analytics-node')
const [host, writeKey] = process.argv.slice(2)
const analytics = new Analytics({ writeKey, host, flushAt: 15, flushInterval: 1000 })
let failures = 0
analytics.on('error', (e) => { failures++; console.error(e) })
for (let i = 0; i < 1000; i++) {
  analytics.track({ userId: `u${i % 17}`, event: 'Product Viewed', messageId: `node-${i}`, properties: { product_id: `p-${i}`, name: 'Tasse ☕' } })
}
analytics.closeAndFlush().then(() => process.exit(failures === 0 ? 0 : 1))
