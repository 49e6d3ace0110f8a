// Runs the worked examples in place, and opens every path of the API in Swagger UI.
"use strict";

for (const button of document.querySelectorAll("[data-run]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const shown = document.getElementById(button.getAttribute("aria-controls"));
    shown.hidden = false;
    shown.textContent = "...";
    try {
      const answer = await fetch(button.dataset.run);
      const text = await answer.text();
      const isJson = (answer.headers.get("content-type") || "").includes("json");
      shown.textContent = `${answer.status} ${answer.statusText}\n\n${isJson ? JSON.stringify(JSON.parse(text), null, 2) : text}`;
    } catch (error) {
      shown.textContent = `The service did not answer: ${error.message}`;
    }
  });
}

const place = document.getElementById("swagger-ui");
window.SwaggerUIBundle({
  domNode: place,
  url: place.dataset.openapi,
  deepLinking: true,
  validatorUrl: null,
  tryItOutEnabled: true,
  displayRequestDuration: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  presets: [window.SwaggerUIBundle.presets.apis, window.SwaggerUIBundle.SwaggerUIStandalonePreset].filter(Boolean),
  layout: "BaseLayout",
});
