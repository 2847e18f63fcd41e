// The visitor's own address in place of the example, and a button that copies each block of code, but not what a block prints.
for (const place of document.querySelectorAll("[data-base]")) {
  place.textContent = location.origin;
}
for (const block of document.querySelectorAll(".code:not(.printed)")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", "Copy this code");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(block.querySelector("code").textContent.trimEnd());
      button.textContent = "Copied";
    } catch {
      // Browsers give the clipboard to pages on https and on this machine only.
      getSelection().selectAllChildren(block.querySelector("code"));
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  block.append(button);
}
