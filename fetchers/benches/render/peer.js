// The peer of the benchmark: the same pages by playwright-core, at its fastest: one browser, a
// context a page, what is blocked is blocked, and a page is taken when its element is there.
const { chromium } = require(process.env.PLAYWRIGHT);

async function render(browser, url) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  try {
    const page = await context.newPage();
    await page.route('**/*', route => {
      const blocked = ['image', 'media', 'font'].includes(route.request().resourceType());
      return blocked ? route.abort() : route.continue();
    });
    await page.goto(url, { waitUntil: 'commit' });
    await page.waitForSelector('h1', { state: 'attached' });
    const html = await page.content();
    if (!html.includes('<h1>Lamp</h1>')) throw new Error('not rendered: ' + html);
  } finally {
    await context.close();
  }
}

async function main() {
  const [url, pages, atOnce, executablePath] = process.argv.slice(2);
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  await render(browser, url);
  console.log('warm');
  const begun = Date.now();
  let left = Number(pages);
  const worker = async () => {
    while (left-- > 0) await render(browser, url);
  };
  await Promise.all(Array.from({ length: Number(atOnce) }, worker));
  console.log((Date.now() - begun) / 1000);
  // Whoever measures has looked when standard input ends.
  await new Promise(resolve => process.stdin.on('end', resolve).resume());
  await browser.close();
}

main();
