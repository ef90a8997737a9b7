import { Controller, Get } from '@nestjs/common';
import { asyncApiDocument, openApiDocument } from '@postern/contracts';

const version = '0.1.0';

/** `/openapi.json` and `/asyncapi.json`, from the schemas that check each request. */
@Controller()
export class DocumentsController {
  readonly #openApi = openApiDocument(version);
  readonly #asyncApi = asyncApiDocument(version);

  @Get('openapi.json')
  openApi(): object {
    return this.#openApi;
  }

  @Get('asyncapi.json')
  asyncApi(): object {
    return this.#asyncApi;
  }
}
