// Search runs in a worker, which browsers do not start for a page from the disk: there a hidden
// frame takes its place. Material looks for IFrameWorker to know.
if (location.protocol === "file:") {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.answer = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      frame.srcdoc =
        "<script>window.postMessage = (data) => frameElement.answer(data)</script>" +
        `<script src="${url}"></script>`;
      this.frame = frame;
      this.ready = new Promise((done) => (frame.onload = done));
      document.body.append(frame);
    }

    async postMessage(data) {
      await this.ready;
      this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }));
    }
  };
}
